import { writeAudit } from '../db/audit-log';
import { cancelDelivery, markTrigger, releaseToQueue, reopenDelivery, setNextAttempt } from '../db/control';
import { type Delivery, findDelivery } from '../db/deliveries';
import { toPublicId } from '../domain/ids';
import type { OperatorSignal } from './engine';
import { ApiError } from './errors';
import type { Services } from './services';

/**
 * What operators do to deliveries. One that is being attempted or waits for its timer belongs to its workflow, which
 * is asked by a signal; one that waits in the queue or has ended belongs to the record, and so does one whose
 * workflow turns out to be gone. Each function returns the delivery's id once the wish is certain to be met.
 */

type Who = { tenantId: string; actor: string };

/** The state can change between reading it and acting on it; each round reads it again. */
const ROUNDS = 5;

/** An attempt now, whatever the schedule says; an ended delivery starts anew. */
export function retryNow(services: Services, delivery: Delivery, who: Who): Promise<string> {
  const { kysely } = services.db;
  return act(services, delivery, who, 'delivery.retry', async ({ id, state }) => {
    switch (state) {
      case 'pending':
      case 'held':
        return markTrigger(kysely, id, 'manual');
      case 'in_progress':
      case 'retrying':
        return (await signal(services, id, { name: 'replay', by: who.actor })) || releaseToQueue(kysely, id, 'manual');
      case 'delivered':
      case 'failed':
      case 'cancelled':
        if (await reopenDelivery(kysely, id, 'manual')) return true;
        if (await isEnded(services, who, id))
          throw new ApiError('state_conflict', 'The webhook of this delivery was deleted.');
        return false;
    }
  });
}

/** Ends a delivery that has not ended; an attempt under way is not torn down, and counts if it succeeds. */
export function cancelNow(services: Services, delivery: Delivery, who: Who): Promise<string> {
  const { kysely } = services.db;
  return act(services, delivery, who, 'delivery.cancel', async ({ id, state }) => {
    switch (state) {
      case 'pending':
      case 'held':
        return cancelDelivery(kysely, id, 'if_waiting');
      case 'in_progress':
      case 'retrying':
        return (await signal(services, id, { name: 'cancel', by: who.actor })) || cancelDelivery(kysely, id, 'always');
      case 'cancelled':
        return true;
      case 'delivered':
      case 'failed':
        throw new ApiError('state_conflict', `The delivery is already ${state}.`);
    }
  });
}

/** Moves the next attempt of a delivery that waits for one. */
export function rescheduleTo(services: Services, delivery: Delivery, at: Date, who: Who): Promise<string> {
  const move = async ({ id, state }: Delivery) => {
    if (state !== 'retrying') {
      throw new ApiError(
        'state_conflict',
        `Only a delivery that waits for its next attempt has a time to move; this one is ${state}.`,
      );
    }
    if (await signal(services, id, { name: 'reschedule', by: who.actor, atMs: at.getTime() })) return true;
    // Its workflow is lost: the record keeps the wish, and the reconciler starts a new one when the time is past.
    return setNextAttempt(services.db.kysely, id, at);
  };
  return act(services, delivery, who, 'delivery.reschedule', move, { at });
}

async function act(
  services: Services,
  delivery: Delivery,
  who: Who,
  action: string,
  /** False where the state changed in between. */
  attempt: (delivery: Delivery) => Promise<boolean>,
  details: Record<string, unknown> = {},
): Promise<string> {
  let current: Delivery | undefined = delivery;
  for (let round = 0; round < ROUNDS && current; round++) {
    if (await attempt(current)) {
      const target = toPublicId('delivery', delivery.id);
      await writeAudit(services.db.kysely, { ...who, action, target, details });
      services.notifyWork();
      return delivery.id;
    }
    current = await findDelivery(services.db.kysely, who.tenantId, delivery.id);
  }
  throw new ApiError('state_conflict', 'The delivery keeps changing its state; try again.');
}

const signal = (services: Services, id: string, wish: OperatorSignal) => services.engine.signal(id, wish);

async function isEnded(services: Services, who: Who, id: string): Promise<boolean> {
  const state = (await findDelivery(services.db.kysely, who.tenantId, id))?.state;
  return state === 'delivered' || state === 'failed' || state === 'cancelled';
}
