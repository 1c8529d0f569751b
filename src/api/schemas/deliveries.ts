import { z } from 'zod';
import { DELIVERY_STATES, type DeliveryState } from '../../domain/delivery';
import { eventType, formerName, idOf, pageOf, timestamp, timeWindow } from './common';

const status = z.enum(DELIVERY_STATES);

const filters = {
  ...pageOf('delivery'),
  ...timeWindow,
  status: status.optional(),
  state: formerName(status, 'status'),
  event_type: eventType.optional(),
};

type Statuses = { status?: DeliveryState | undefined; state?: DeliveryState | undefined };
const TWO_STATUSES = {
  path: ['state'],
  error: 'must not be given together with `status`, of which it is the former name',
};

function oneStatus({ status, state }: Statuses): boolean {
  return status === undefined || state === undefined;
}

function toStatus<T extends Statuses>({ state, ...query }: T) {
  return { ...query, status: query.status ?? state };
}

export const listDeliveriesQuery = z
  .strictObject({ ...filters, webhook_id: idOf('webhook').optional() })
  .refine(oneStatus, TWO_STATUSES)
  .transform(toStatus);
/** For paths that name the webhook or the event. */
export const listOwnDeliveriesQuery = z.strictObject(filters).refine(oneStatus, TWO_STATUSES).transform(toStatus);

export const listAttemptsQuery = z.strictObject(pageOf('attempt'));

const MAX_AHEAD_MS = 30 * 24 * 3_600_000;

export const rescheduleBody = z.strictObject({
  at: timestamp.refine((at) => at.getTime() - Date.now() <= MAX_AHEAD_MS, 'must be within 30 days from now'),
});

/** For commands without parameters: no body, or an empty object. */
export const emptyBody = z.strictObject({}).optional();
