import type { Pool } from 'pg';
import { withPartition } from '../partitions';
import { prepareStatement } from '../prepared-statement';
import { findRequest, UNLESS_TAKEN } from './idempotent-requests';
import { ONE_EVENT, ONE_EVENT_PARAMETERS, RECIPIENTS_OF_ONE, toOneEvent } from './one-event';
import { enqueue, insertDeliveries, insertEvents, makeDeliveries } from './sql';
import type { KeyedRequest, NewEvent, PublishedOnce } from './types';

/** A key may expire between being found taken and being looked at. */
const ROUNDS = 3;

/**
 * Publishes the event of a request with an `Idempotency-Key`: claims the key, keeps the answer, and stores the event, its
 * deliveries and their queue rows, or nothing at all if the key is taken. There is no moment at which only a part of
 * it is done, and no more round trips than without a key.
 *
 * Parameters: those of {@link ONE_EVENT_PARAMETERS}, and
 * - key, request_hash: of the request
 * - answer_head: its answer, up to the number of deliveries
 *
 * Reads subscriptions. Writes idempotent_requests, events, deliveries, delivery_queue.
 *
 * Returns one row:
 * - published: false if the key is taken
 * - deliveries: how many were made
 */
const PUBLISH_ONCE = prepareStatement(
  'publish_once',
  { ...ONE_EVENT_PARAMETERS, key: 'text', request_hash: 'bytea', answer_head: 'text' },
  `
with
${RECIPIENTS_OF_ONE},
-- The key with its answer, unless another request has it.
claimed_request as (
  insert into idempotent_requests as r (tenant_id, key, id, request_hash, state, status, answer, sealed)
  select :tenant_id, :key, :id, :request_hash, 'done', 202,
    :answer_head || (select count(*) from recipients) || '}', false
  ${UNLESS_TAKEN}
  returning id),
-- The event; no row if the key is taken.
new_events as materialized (
  select ${ONE_EVENT}
  where exists (select from claimed_request)),
${insertEvents()},
${makeDeliveries('cross join recipients')},
${insertDeliveries()},
${enqueue()}
select exists (select from new_events) as published, (select count(*) from new_deliveries)::int as deliveries`,
);

/** Publishes an event once for its `Idempotency-Key`, or says what an earlier request with this key has come to. */
export async function publishOnce(
  pool: Pool,
  event: Omit<NewEvent, 'producerId'>,
  request: KeyedRequest,
): Promise<PublishedOnce> {
  const { key, requestHash, answerHead } = request;
  const statement = PUBLISH_ONCE({ ...toOneEvent(event), key, request_hash: requestHash, answer_head: answerHead });
  for (let round = 0; round < ROUNDS; round++) {
    const { rows } = await withPartition(pool, event.createdAt, () =>
      pool.query<{ published: boolean; deliveries: number }>(statement),
    );
    const { published, deliveries } = rows[0]!;
    if (published) return { state: 'published', deliveries };
    const earlier = await findRequest(pool, event.tenantId, request);
    if (earlier) return earlier;
  }
  return { state: 'running' };
}
