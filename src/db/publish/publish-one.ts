import type { Pool } from 'pg';
import { withPartition } from '../partitions';
import { prepareStatement } from '../prepared-statement';
import { findDuplicate } from './earlier-events';
import { ONE_EVENT, ONE_EVENT_PARAMETERS, RECIPIENTS_OF_ONE, toOneEvent } from './one-event';
import { enqueue, insertDeliveries, insertEvents, makeDeliveries } from './sql';
import type { NewEvent, Published } from './types';

/**
 * Publishes one event: the event, its deliveries and their queue rows, or nothing at all if its producer's id is known.
 *
 * Parameters: those of {@link ONE_EVENT_PARAMETERS}, and
 * - producer_id: the producer's own id; null: none
 *
 * Reads subscriptions. Writes idempotency_keys (with a producer's id), events, deliveries, delivery_queue.
 *
 * Returns one row:
 * - published: false if the producer's id is taken
 * - deliveries: how many were made
 */
const PUBLISH_ONE = prepareStatement(
  'publish_one',
  { ...ONE_EVENT_PARAMETERS, producer_id: 'text' },
  `
with
-- The producer's id, unless an earlier event has it.
claimed_key as (
  insert into idempotency_keys (tenant_id, kind, key, event_id)
  select :tenant_id, 'event', :producer_id, :id
  where :producer_id is not null
  on conflict do nothing
  returning event_id),
-- The event; no row if its id is taken.
new_events as materialized (
  select ${ONE_EVENT}
  where :producer_id is null or exists (select from claimed_key)),
${RECIPIENTS_OF_ONE},
${insertEvents()},
${makeDeliveries('cross join recipients')},
${insertDeliveries()},
${enqueue()}
select exists (select from new_events) as published, (select count(*) from new_deliveries)::int as deliveries`,
);

/** Stores an event and queues its deliveries; answers with the earlier one if its producer's id is known. */
export async function publishEvent(pool: Pool, event: NewEvent): Promise<Published> {
  const { id, type, createdAt, producerId = null } = event;
  const { rows } = await withPartition(pool, createdAt, () =>
    pool.query<{ published: boolean; deliveries: number }>(
      PUBLISH_ONE({ ...toOneEvent(event), producer_id: producerId }),
    ),
  );
  const { published, deliveries } = rows[0]!;
  if (published) return { eventId: id, type, createdAt, deliveries, duplicate: false };
  return findDuplicate(pool, event);
}
