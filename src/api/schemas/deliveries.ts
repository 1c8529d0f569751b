import { z } from 'zod';
import { DELIVERY_STATES } from '../../domain/delivery';
import { eventType, idOf, pageOf, timestamp, timeWindow } from './common';

const filters = {
  ...pageOf('delivery'),
  ...timeWindow,
  state: z.enum(DELIVERY_STATES).optional(),
  event_type: eventType.optional(),
};

export const listDeliveriesQuery = z.strictObject({ ...filters, webhook_id: idOf('webhook').optional() });
/** For paths that name the webhook or the event. */
export const listOwnDeliveriesQuery = z.strictObject(filters);

export const listAttemptsQuery = z.strictObject(pageOf('attempt'));

const MAX_AHEAD_MS = 30 * 24 * 3_600_000;

export const rescheduleBody = z.strictObject({
  at: timestamp.refine((at) => at.getTime() - Date.now() <= MAX_AHEAD_MS, 'must be within 30 days from now'),
});

/** For commands without parameters: no body, or an empty object. */
export const emptyBody = z.strictObject({}).optional();
