import { setTimeout as sleep } from 'node:timers/promises';
import { type AuditEntry, writeAudit } from '../db/audit-log';
import { cancelDelivery, markTrigger, releaseToQueue, setNextAttempt } from '../db/control';
import type { Queryable } from '../db/database';
import { type Delivery, findDelivery } from '../db/deliveries';
import { reopenEnded } from '../db/reopen';
import { toPublicId } from '../domain/ids';
import type { OperatorSignal } from './engine';
import { ApiError } from './errors';
import type { Services } from './services';

/**
 * What operators do to deliveries. One that is being attempted or waits for its timer belongs to its workflow, which
 * is asked by a signal; one that waits in the queue or has ended belongs to the record, and so does one whose
 * workflow turns out to be gone. Each function resolves once the wish is certain to be met.
 *
 * A run that is about to close may hold wishes that it has yet to meet, and would meet them after a later one that went
 * to the record. So wishes are signalled wherever a run is open: its history puts them in order.
 */

export type Who = { tenantId: string; actor: string };

type Change = (db: Queryable) => Promise<boolean>;
/**
 * How a wish is met in one state of the delivery: by a signal, or a change of the record where no run is open. The
 * change is false where the state moved in between. What belongs to the record needs no engine that can be reached.
 */
type Plan = { owner: 'workflow' | 'record'; signal: OperatorSignal; change: Change };

/** The state can change between reading it and acting on it; each round reads it again. */
const ROUNDS = 5;
/** Between rounds: an attempt of the express lane that is under way mostly ends meanwhile, and then its outcome counts. */
const ROUND_WAIT_MS = 200;

/** An attempt now, whatever the schedule says; an ended delivery starts anew. */
export function retryNow(services: Services, delivery: Delivery, who: Who): Promise<void> {
  const signal = { name: 'replay', by: toPublicId('apiKey', who.actor) } as const;
  const byHand = { tenantId: who.tenantId, trigger: 'manual', askedBy: who.actor } as const;
  return act(services, delivery, who, 'delivery.retry', ({ id, state, webhookDeleted }) => {
    switch (state) {
      case 'pending':
      case 'held':
        return { owner: 'record', signal, change: (db) => markTrigger(db, id, 'manual', who.actor) };
      case 'in_progress':
      case 'retrying':
        return { owner: 'workflow', signal, change: (db) => releaseToQueue(db, id, 'manual', who.actor) };
      case 'delivered':
      case 'failed':
      case 'cancelled':
        if (webhookDeleted) throw new ApiError('state_conflict', 'The webhook of this delivery was deleted.');
        return {
          owner: 'record',
          signal: { ...signal, anew: true },
          // Someone waits for it: ahead of what was published meanwhile.
          change: async (db) => (await reopenEnded(db, [id], { ...byHand, lane: 'high' })).length > 0,
        };
    }
  });
}

/** Ends a delivery that has not ended; an attempt under way is not torn down, and counts if it succeeds. */
export function cancelNow(services: Services, delivery: Delivery, who: Who): Promise<void> {
  const signal = { name: 'cancel', by: toPublicId('apiKey', who.actor) } as const;
  return act(services, delivery, who, 'delivery.cancel', ({ id, state }, lastRound) => {
    switch (state) {
      case 'pending':
      case 'held':
        return { owner: 'record', signal, change: (db) => cancelDelivery(db, id, 'if_waiting') };
      case 'in_progress':
      case 'retrying':
        // Nobody waits for longer: then what comes of the attempt is only logged.
        return {
          owner: 'workflow',
          signal,
          change: (db) => cancelDelivery(db, id, lastRound ? 'always' : 'unless_express'),
        };
      case 'cancelled':
        return { owner: 'record', signal, change: async () => true };
      case 'delivered':
      case 'failed':
        throw new ApiError('state_conflict', `The delivery is already ${state}.`);
    }
  });
}

/** Moves the next attempt of a delivery that waits for one. */
export function rescheduleTo(services: Services, delivery: Delivery, at: Date, who: Who): Promise<void> {
  const signal = { name: 'reschedule', by: toPublicId('apiKey', who.actor), atMs: at.getTime() } as const;
  const plan = ({ id, state }: Delivery): Plan => {
    if (state !== 'retrying') {
      throw new ApiError(
        'state_conflict',
        `Only a delivery that waits for its next attempt has a time to move; this one is ${state}.`,
      );
    }
    // Where its workflow is lost, the record keeps the wish and the reconciler starts a new one once the time is past.
    return { owner: 'workflow', signal, change: (db) => setNextAttempt(db, id, at) };
  };
  return act(services, delivery, who, 'delivery.reschedule', plan, { at });
}

async function act(
  services: Services,
  delivery: Delivery,
  { tenantId, actor }: Who,
  action: string,
  planFor: (delivery: Delivery, lastRound: boolean) => Plan,
  details: Record<string, unknown> = {},
): Promise<void> {
  const { kysely } = services.db;
  const entry: AuditEntry = { tenantId, actor, action, target: toPublicId('delivery', delivery.id), details };
  let current: Delivery | undefined = delivery;
  for (let round = 0; round < ROUNDS && current; round++) {
    if (round > 0) await sleep(ROUND_WAIT_MS);
    const plan = planFor(current, round === ROUNDS - 1);
    if (await carryOut(services, plan, delivery.id, entry)) {
      services.notifyWork();
      return;
    }
    current = await findDelivery(kysely, tenantId, delivery.id);
  }
  throw new ApiError('state_conflict', 'The delivery keeps changing its state; try again.');
}

/** The workflow's own signal is in the audit log before it is sent: it cannot be taken back. A change takes its entry along. */
async function carryOut(
  services: Services,
  { owner, signal, change }: Plan,
  id: string,
  entry: AuditEntry,
): Promise<boolean> {
  const { kysely } = services.db;
  if (owner === 'workflow') {
    await writeAudit(kysely, entry);
    return (await services.engine.signal(id, signal)) || change(kysely);
  }
  const signalled = await services.engine.signal(id, signal).catch(() => false);
  return kysely.transaction().execute(async (tx) => {
    const changed = signalled || (await change(tx));
    if (changed) await writeAudit(tx, entry);
    return changed;
  });
}
