import type { Pool } from 'pg';
import { PRIORITIES } from '../../domain/priorities';
import { prepareStatement, type Values } from '../prepared-statement';
import { findEarlier, nameOf } from './earlier-events';
import { UNLESS_TAKEN } from './idempotent-requests';
import { PATTERN_ROWS, patternRows } from './pattern-rows';
import { enqueue, insertDeliveries, insertEvents, makeDeliveries, wants } from './sql';
import type { BatchEvent, BatchResult } from './types';

/** Of each array the nth is the nth event's. */
const PARAMETERS = {
  ...PATTERN_ROWS,
  ids: 'uuid[]',
  tenant_ids: 'uuid[]',
  types: 'text[]',
  bodies: 'bytea[]',
  created_ats: 'timestamptz[]',
  key_kinds: 'text[]',
  keys: 'text[]',
  priorities: 'smallint[]',
  versions: 'text[]',
  // Arrays of arrays must be rectangular: each goes as the text of one.
  excluded: 'text[]',
  key_fields: 'text[]',
  request_keys: 'text[]',
  request_hashes: 'bytea[]',
  answer_heads: 'text[]',
} as const;

/**
 * Publishes events of any tenants: each event whose key is free, its deliveries and their queue rows, or nothing at all.
 * They are stored and queued in the order given, which ordered webhooks keep. Of several with one key the first counts;
 * the key of a request must not come twice.
 *
 * Parameters: those of {@link PARAMETERS}. A null key, request key or version: the event has none.
 *
 * Reads subscriptions. Writes idempotency_keys (events with a key), idempotent_requests (events that are requests with an
 * `Idempotency-Key`), events, deliveries, delivery_queue.
 *
 * Returns a row for each event that was published:
 * - id
 * - deliveries: how many were made
 */
const PUBLISH_MANY = prepareStatement(
  'publish_many',
  PARAMETERS,
  `
with
-- The events as they came.
given as materialized (
  select id, tenant_id, type, body, created_at, key_kind, key, priority, version, excluded::uuid[] as excluded,
    key_fields::text[] as key_fields, request_key, request_hash, answer_head, place
  from unnest(:ids, :tenant_ids, :types, :bodies, :created_ats,
    :key_kinds, :keys, :priorities, :versions, :excluded, :key_fields,
    :request_keys, :request_hashes, :answer_heads)
  with ordinality as given (id, tenant_id, type, body, created_at, key_kind, key, priority, version, excluded,
    key_fields, request_key, request_hash, answer_head, place)),
-- The subscriptions of each type, once for all events that have it.
subscribed as materialized (
  select distinct p.tenant_id, p.type, s.webhook_id, s.minimal, s.payload_version
  from unnest(:pattern_tenant_ids, :pattern_types, :patterns) as p (tenant_id, type, pattern)
  join subscriptions s on s.tenant_id = p.tenant_id and s.pattern = p.pattern),
-- The keys that are free. In an order of their own, so that two batches with the same ones do not wait for each other in
-- a circle.
claimed_keys as (
  insert into idempotency_keys (tenant_id, kind, key, event_id)
  select tenant_id, key_kind, key, id from given
  where key is not null
  order by tenant_id, key_kind, key, place
  on conflict do nothing
  returning event_id),
-- Who gets each event, if it is published.
recipients as materialized (
  select given.place, s.webhook_id, s.minimal
  from given
  join subscribed s on s.tenant_id = given.tenant_id and s.type = given.type
    and ${wants('given.version', 'given.excluded')}),
recipient_counts as materialized (
  select place, count(*)::int as deliveries from recipients group by place),
-- The keys of requests that are free, with their answers.
claimed_requests as (
  insert into idempotent_requests as r (tenant_id, key, id, request_hash, state, status, answer, sealed)
  select given.tenant_id, given.request_key, given.id, given.request_hash, 'done', 202,
    given.answer_head || coalesce(recipient_counts.deliveries, 0) || '}', false
  from given left join recipient_counts on recipient_counts.place = given.place
  where given.request_key is not null
  order by given.tenant_id, given.request_key
  ${UNLESS_TAKEN}
  returning id),
-- The events whose keys were free.
new_events as materialized (
  select * from given
  where (key is null or id in (select event_id from claimed_keys))
    and (request_key is null or id in (select id from claimed_requests))),
${insertEvents('order by place')},
${makeDeliveries('join recipients on recipients.place = new_events.place')},
${insertDeliveries('order by place')},
${enqueue('order by place')}
select new_events.id, coalesce(recipient_counts.deliveries, 0) as deliveries
from new_events left join recipient_counts on recipient_counts.place = new_events.place`,
);

/**
 * One statement for events of any tenants, in their order; those whose key is taken are looked up by a second one.
 * Undefined for one whose request's key is taken: what became of that request is for the caller to find out.
 */
export async function publishMany(pool: Pool, events: readonly BatchEvent[]): Promise<(BatchResult | undefined)[]> {
  const { rows } = await pool.query<{ id: string; deliveries: number }>(PUBLISH_MANY(toValues(events)));
  const published = new Map(rows.map(({ id, deliveries }) => [id, deliveries]));
  const earlier = await findEarlier(
    pool,
    events.filter(({ id, once }) => once && !published.has(id)),
  );
  return events.map((event) => {
    const deliveries = published.get(event.id);
    if (deliveries !== undefined) return { eventId: event.id, deliveries, duplicate: false };
    if (event.request) return undefined;
    const found = event.once && earlier.get(nameOf(event.tenantId, event.once));
    if (!found) throw new Error('an idempotency key vanished between two statements');
    return { ...found, duplicate: true };
  });
}

function toValues(events: readonly BatchEvent[]): Values<typeof PARAMETERS> {
  return {
    ids: events.map(({ id }) => id),
    tenant_ids: events.map(({ tenantId }) => tenantId),
    types: events.map(({ type }) => type),
    bodies: events.map(({ body }) => body),
    created_ats: events.map(({ createdAt }) => createdAt),
    key_kinds: events.map(({ once }) => once?.kind ?? null),
    keys: events.map(({ once }) => once?.key ?? null),
    priorities: events.map(({ priority = 'normal' }) => PRIORITIES[priority]),
    versions: events.map(({ version }) => version ?? null),
    excluded: events.map(({ excluded = [] }) => `{${excluded.join(',')}}`),
    key_fields: events.map(({ keyFields }) => (keyFields ? arrayText(keyFields) : null)),
    request_keys: events.map(({ request }) => request?.key ?? null),
    request_hashes: events.map(({ request }) => request?.requestHash ?? null),
    answer_heads: events.map(({ request }) => request?.answerHead ?? null),
    ...patternRows(events),
  };
}

/** A Postgres array literal of texts. */
function arrayText(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
