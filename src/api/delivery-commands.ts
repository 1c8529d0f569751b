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
 * The commands that operators give for one delivery: retry, cancel, reschedule. Each is committed in Postgres together with
 * its line in the audit log, and every sender reads Postgres before it sends. So a command that was answered is carried
 * out, also while Temporal is unavailable. For a cancel or a reschedule the delivery's workflow, if there is one, also gets a
 * signal, which ends its wait early. If the signal is lost, the workflow reads the command when its timer fires.
 */

/** The tenant, and the uuid of the API key that gives the command. */
export type Operator = { tenantId: string; actor: string };

/** The state can change between reading it and acting on it; each try reads it again. */
const MAX_TRIES = 5;
const WEBHOOK_DELETED = 'The webhook of this delivery was deleted.';
/** The first wait before a cancel looks whether an attempt has ended; each later wait is twice as long. */
const FIRST_WAIT_MS = 50;

/**
 * Asks for an attempt now, whatever the schedule says. An ended delivery is reopened.
 * @throws ApiError state_conflict
 */
export function retryNow(services: Services, delivery: Delivery, operator: Operator): Promise<void> {
  const { tenantId, actor } = operator;
  return commit(
    services,
    delivery,
    operator,
    'delivery.retry',
    {},
    async (tx, { id, state, cancelAsked, webhookDeleted }) => {
      switch (state) {
        case 'pending':
        case 'held':
        case 'in_progress':
        case 'retrying':
          if (webhookDeleted) throw new ApiError('state_conflict', WEBHOOK_DELETED);
          if (cancelAsked) throw new ApiError('state_conflict', 'The delivery is being cancelled.');
          return askForAttempt(tx, id, actor);
        case 'delivered':
        case 'failed':
        case 'cancelled': {
          if (webhookDeleted) throw new ApiError('state_conflict', WEBHOOK_DELETED);
          // An operator waits for it: it goes ahead of events that were published since.
          const how = { tenantId, trigger: 'manual', askedBy: actor, priority: 'high' } as const;
          return (await reopenEnded(tx, [id], how)).length > 0;
        }
      }
    },
  );
}

/**
 * Cancels a delivery that has not ended. An attempt under way is not aborted, and counts if it succeeds. No attempt begins
 * after this has resolved.
 * @throws ApiError state_conflict
 */
export async function cancelNow(services: Services, delivery: Delivery, operator: Operator): Promise<void> {
  let cancelled: Cancelled | undefined;
  await commit(services, delivery, operator, 'delivery.cancel', {}, async (tx, { id, state }) => {
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
  services.deliveryWorkflows.signal(delivery.id, {
    name: 'cancel',
    by: toPublicId('apiKey', operator.actor),
    recorded: true,
  });
  if (cancelled?.state === 'asked') {
    await untilNoneCanBegin(services, delivery.id, operator.tenantId, cancelled.beginsWithinMs);
  }
}

/**
 * Moves the next attempt of a delivery that waits for one.
 * @throws ApiError state_conflict
 */
export async function rescheduleTo(
  services: Services,
  delivery: Delivery,
  at: Date,
  operator: Operator,
): Promise<void> {
  let moves: number | undefined;
  await commit(services, delivery, operator, 'delivery.reschedule', { at }, async (tx, { id, state, cancelAsked }) => {
    if (state !== 'retrying' || cancelAsked) {
      throw new ApiError(
        'state_conflict',
        `Only a delivery that waits for its next attempt has a time to move; this one is ${state}.`,
      );
    }
    moves = await moveNextAttempt(tx, id, at);
    return moves !== undefined;
  });
  const by = toPublicId('apiKey', operator.actor);
  services.deliveryWorkflows.signal(delivery.id, { name: 'reschedule', by, atMs: at.getTime(), moves: moves! });
}

/**
 * Commits the change and its line in the audit log, both or neither. `change` decides by the delivery's state: it returns
 * false if the state has changed meanwhile, after which the delivery is read again, and throws if it refuses.
 * @throws ApiError state_conflict, and what `change` throws
 */
async function commit(
  services: Services,
  delivery: Delivery,
  { tenantId, actor }: Operator,
  action: string,
  details: Record<string, unknown>,
  change: (tx: Tx, delivery: Delivery) => Promise<boolean>,
): Promise<void> {
  const asker = { services, tenantId, actor };
  const target = toPublicId('delivery', delivery.id);
  let current: Delivery | undefined = delivery;
  for (let tries = 0; tries < MAX_TRIES && current; tries++) {
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
 * An attempt that was claimed or loaded a moment ago may still begin its POST. Waits until the delivery is no longer in
 * progress, and then ends it as cancelled; or until so much time has passed that the POST has begun if it ever will.
 */
async function untilNoneCanBegin(services: Services, id: string, tenantId: string, limitMs: number): Promise<void> {
  const untilMs = performance.now() + limitMs;
  for (let waitMs = FIRST_WAIT_MS; performance.now() < untilMs; waitMs *= 2) {
    await sleep(Math.min(waitMs, Math.max(0, untilMs - performance.now())));
    const delivery = await findDelivery(services.db.kysely, tenantId, id);
    if (delivery?.state === 'in_progress') continue;
    await endCancelled(services.db.kysely, id, 'asked');
    return;
  }
}
