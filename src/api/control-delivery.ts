import { setTimeout as sleep } from 'node:timers/promises';
import type { Tx } from '../db/database';
import { type Cancelled, cancelDelivery, endCancelled } from '../db/queue/cancel';
import { askForAttempt, moveNextAttempt } from '../db/queue/operator-commands';
import { reopenEnded } from '../db/queue/reopen';
import { type Delivery, findDelivery } from '../db/store/deliveries';
import { toPublicId } from '../domain/ids';
import { audited } from './audited';
import { ApiError } from './errors';
import type { Services } from './services';

/**
 * What operators do to deliveries. The record is changed first, in one transaction with the line in the audit log, and
 * whoever sends asks the record: so a wish is certain to be met once it is answered, and needs no engine that can be
 * reached. A workflow that waits for the delivery is told by a signal, to spare it the rest of its wait; if that does not
 * reach it, it finds out when its timer fires.
 */

export type Who = { tenantId: string; actor: string };

/** The state can change between reading it and acting on it; each round reads it again. */
const ROUNDS = 5;
/** When it is first looked whether an attempt that was claimed a moment ago has come to an end; then ever more seldom. */
const FIRST_LOOK_MS = 50;

/** An attempt now, whatever the schedule says; an ended delivery starts anew. */
export function retryNow(services: Services, delivery: Delivery, who: Who): Promise<void> {
  const { tenantId, actor } = who;
  return inRounds(
    services,
    delivery,
    who,
    'delivery.retry',
    {},
    async (tx, { id, state, cancelAsked, webhookDeleted }) => {
      switch (state) {
        case 'pending':
        case 'held':
        case 'in_progress':
        case 'retrying':
          if (cancelAsked) throw new ApiError('state_conflict', 'The delivery is being cancelled.');
          return askForAttempt(tx, id, actor);
        case 'delivered':
        case 'failed':
        case 'cancelled': {
          if (webhookDeleted) throw new ApiError('state_conflict', 'The webhook of this delivery was deleted.');
          // Someone waits for it: ahead of what was published meanwhile.
          const how = { tenantId, trigger: 'manual', askedBy: actor, priority: 'high' } as const;
          return (await reopenEnded(tx, [id], how)).length > 0;
        }
      }
    },
  );
}

/**
 * Ends a delivery that has not ended. An attempt that is under way is not torn down, and counts if it succeeds; none begins
 * after this has resolved.
 */
export async function cancelNow(services: Services, delivery: Delivery, who: Who): Promise<void> {
  let cancelled: Cancelled | undefined;
  await inRounds(services, delivery, who, 'delivery.cancel', {}, async (tx, { id, state }) => {
    switch (state) {
      case 'pending':
      case 'held':
      case 'in_progress':
      case 'retrying':
        cancelled = await cancelDelivery(tx, id);
        return cancelled !== undefined;
      case 'cancelled':
        return true;
      case 'delivered':
      case 'failed':
        throw new ApiError('state_conflict', `The delivery is already ${state}.`);
    }
  });
  services.engine.tell(delivery.id, { name: 'cancel', by: toPublicId('apiKey', who.actor), recorded: true });
  if (cancelled?.state === 'asked') await untilBegun(services, delivery.id, who.tenantId, cancelled.beginsWithinMs);
}

/** Moves the next attempt of a delivery that waits for one. */
export async function rescheduleTo(services: Services, delivery: Delivery, at: Date, who: Who): Promise<void> {
  let moves: number | undefined;
  await inRounds(services, delivery, who, 'delivery.reschedule', { at }, async (tx, { id, state, cancelAsked }) => {
    if (state !== 'retrying' || cancelAsked) {
      throw new ApiError(
        'state_conflict',
        `Only a delivery that waits for its next attempt has a time to move; this one is ${state}.`,
      );
    }
    moves = await moveNextAttempt(tx, id, at);
    return moves !== undefined;
  });
  const by = toPublicId('apiKey', who.actor);
  services.engine.tell(delivery.id, { name: 'reschedule', by, atMs: at.getTime(), moves: moves! });
}

/**
 * Changes the record by what the delivery's state is, with its line in the audit log, both or neither. `change` answers
 * false where the state has moved on, and throws where it refuses.
 */
async function inRounds(
  services: Services,
  delivery: Delivery,
  { tenantId, actor }: Who,
  action: string,
  details: Record<string, unknown>,
  change: (tx: Tx, delivery: Delivery) => Promise<boolean>,
): Promise<void> {
  const asker = { services, tenantId, actor };
  const target = toPublicId('delivery', delivery.id);
  let current: Delivery | undefined = delivery;
  for (let round = 0; round < ROUNDS && current; round++) {
    const seen: Delivery = current;
    const changed = await services.changes.run(tenantId, () =>
      audited(
        asker,
        action,
        target,
        (tx) => change(tx, seen),
        () => details,
      ),
    );
    if (changed) {
      services.notifyWork();
      return;
    }
    current = await findDelivery(services.db.kysely, tenantId, delivery.id);
  }
  throw new ApiError('state_conflict', 'The delivery keeps changing its state; try again.');
}

/**
 * What was claimed or loaded a moment ago may be sent yet: waits until it has come to an end or was given back, and is
 * cancelled then, or so much time has passed that its POST has begun if it ever will.
 */
async function untilBegun(services: Services, id: string, tenantId: string, limitMs: number): Promise<void> {
  const untilMs = performance.now() + limitMs;
  for (let waitMs = FIRST_LOOK_MS; performance.now() < untilMs; waitMs *= 2) {
    await sleep(Math.min(waitMs, Math.max(0, untilMs - performance.now())));
    const delivery = await findDelivery(services.db.kysely, tenantId, id);
    if (delivery?.state === 'in_progress') continue;
    await endCancelled(services.db.kysely, id, 'asked');
    return;
  }
}
