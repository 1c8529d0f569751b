import { sql } from 'kysely';
import { isInFlight } from './lease-holders';
import { releaseSlots } from './release-slots';

/** The statements of ./log-late-attempt.ts, in the order in which its transaction makes them. */

export const lockQueueRow = (deliveryId: string) => sql<{ in_flight: boolean; attempt: number }>`
-- Holds off everybody who moves the delivery on.
-- Parameters  deliveryId
-- Reads       delivery_queue, lease_holders
-- Locks       the queue row
-- Returns     whether an attempt is in flight, and how many are counted; no row where the delivery has ended
select ${sql.raw(isInFlight('queued'))} as in_flight, queued.attempt from delivery_queue queued
where queued.delivery_id = ${deliveryId} for update`;

/** pending | retrying ──▶ delivered */
export const endDelivered = (deliveryId: string, attempts: number) => sql`
-- Ends a delivery that its receiver has: nothing more is sent.
-- Parameters  deliveryId; attempts, how many it has had
-- Writes      delivery_queue, webhook_gates, deliveries
with dequeued as (
  delete from delivery_queue where delivery_id = ${deliveryId} returning delivery_id, webhook_id),
slots as (
  ${sql.raw(releaseSlots('dequeued'))})
update deliveries set state = 'delivered', ended_at = now(), attempt_count = ${attempts}::int
from dequeued where deliveries.id = ${deliveryId} and deliveries.state = 'pending'`;

export const countInQueue = (deliveryId: string, attempts: number) => sql`
-- The next attempt of a delivery that goes on gets the number after this one.
-- Parameters  deliveryId; attempts, how many it has had
-- Writes      delivery_queue
update delivery_queue set attempt = greatest(attempt, ${attempts}::int) where delivery_id = ${deliveryId}`;

export const countInDelivery = (deliveryId: string, attempts: number) => sql`
-- A delivery that has ended counts the attempt.
-- Parameters  deliveryId; attempts, how many it has had
-- Writes      deliveries
update deliveries set attempt_count = greatest(attempt_count, ${attempts}::int)
where id = ${deliveryId} and state <> 'pending'`;
