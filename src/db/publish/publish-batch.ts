import type { Pool } from 'pg';
import { uuidFloor, uuidTimeMs } from '../../domain/ids';
import { PRIORITIES } from '../../domain/priorities';
import { newDeliveryId } from '../delivery-id';
import { type Once, UNLESS_TAKEN } from './idempotent-requests';
import { type NewEvent, withPartition } from './publish-one';

/**
 * What makes a repeated publish of one event of a batch a no-op: the producer's own id, or the place in a request that
 * came with an `Idempotency-Key`.
 */
export type EventKey = { kind: 'event' | 'request'; key: string };
/** A request of its own with an `Idempotency-Key`, and its answer up to where the number of deliveries follows. */
export type KeyedRequest = Once & { answerHead: string };
export type BatchEvent = Omit<NewEvent, 'producerId'> & { once?: EventKey; request?: KeyedRequest };
export type BatchResult = { eventId: string; deliveries: number; duplicate: boolean };

/** Deliveries that one statement makes at most, unless a single event has more: well within its time limit. */
const MAX_DELIVERIES = 10_000;

/**
 * The events, their deliveries and their queue rows, or nothing at all; in the order given, which ordered webhooks keep.
 * Keys are inserted in their own order, so that two batches with the same ones do not wait for each other in a circle.
 * The key of a request must not come twice in one batch.
 */
const PUBLISH_BATCH = {
  name: 'publish_batch',
  text: `
with i as materialized (
  select id, tenant_id, type, body, kind, key, priority, version, excluded::uuid[] as excluded,
    key_fields::text[] as key_fields, created_at, request_key, request_hash, answer_head, place
  from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::smallint[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[], $12::text[], $13::bytea[], $14::text[])
  with ordinality as i (id, tenant_id, type, body, kind, key, priority, version, excluded, key_fields, created_at,
    request_key, request_hash, answer_head, place)),
s as materialized (
  select distinct p.tenant_id, p.type, s.webhook_id, s.minimal, s.payload_version
  from unnest($15::uuid[], $16::text[], $17::text[]) p (tenant_id, type, pattern)
  join subscriptions s on s.tenant_id = p.tenant_id and s.pattern = p.pattern),
k as (
  insert into idempotency_keys (tenant_id, kind, key, event_id)
  select tenant_id, kind, key, id from i where key is not null order by tenant_id, kind, key, place
  on conflict do nothing returning event_id),
m as materialized (
  select i.place, s.webhook_id, s.minimal
  from i join s on s.tenant_id = i.tenant_id and s.type = i.type and s.webhook_id <> all(i.excluded)
    and (i.version is null or s.payload_version is null or s.payload_version = i.version)),
c as materialized (select place, count(*)::int as deliveries from m group by place),
o as (
  insert into idempotent_requests as r (tenant_id, key, id, request_hash, state, status, answer, sealed)
  select i.tenant_id, i.request_key, i.id, i.request_hash, 'done', 202,
    i.answer_head || coalesce(c.deliveries, 0) || '}', false
  from i left join c on c.place = i.place where i.request_key is not null order by i.tenant_id, i.request_key
  ${UNLESS_TAKEN}
  returning id),
n as materialized (
  select * from i
  where (key is null or id in (select event_id from k)) and (request_key is null or id in (select id from o))),
e as (
  insert into events (id, tenant_id, type, body, created_at, key_fields)
  select id, tenant_id, type, body, created_at, key_fields from n order by place),
d as materialized (
  select ${newDeliveryId('n.id')} as delivery_id,
    n.tenant_id, n.id as event_id, m.webhook_id, m.minimal and n.version is not null as minimal, n.type, n.priority, n.place
  from n join m on m.place = n.place),
w as (
  insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, minimal)
  select delivery_id, tenant_id, event_id, webhook_id, type, minimal from d order by place),
q as (
  insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, priority)
  select delivery_id, tenant_id, event_id, webhook_id, type, priority from d order by place)
select n.id, coalesce(c.deliveries, 0) as deliveries from n left join c on c.place = n.place`,
};

/** Each tenant's types and the patterns that match them, side by side. */
function patternRows(events: readonly BatchEvent[]): [tenants: string[], types: string[], patterns: string[]] {
  const byType = new Map(events.map((event) => [`${event.tenantId}/${event.type}`, event]));
  const rows = [...byType.values()].flatMap((event) => event.patterns.map((pattern) => ({ ...event, pattern })));
  return [rows.map(({ tenantId }) => tenantId), rows.map(({ type }) => type), rows.map(({ pattern }) => pattern)];
}

/**
 * Publishes events of one tenant, made at one time, in their order; one result for each. They go in as few statements
 * as the cap on deliveries allows, each for itself: where a later one fails, what came before it stays published.
 * Of several with one key the first counts.
 */
export async function publishBatch(pool: Pool, events: readonly BatchEvent[]): Promise<BatchResult[]> {
  if (events.length === 0) return [];
  const fanOut = await countMatches(pool, events);
  const results: BatchResult[] = [];
  for (const chunk of chunksOf(events, (event) => Math.max(1, fanOut.get(event.type) ?? 0), MAX_DELIVERIES)) {
    const published = await withPartition(pool, chunk[0]!.createdAt, () => publishChunk(pool, chunk));
    results.push(...published.map((result) => result!)); // none of them is a request of its own
  }
  return results;
}

/** Splits in order, so that the sizes of a part add up to at most `max`; a single one may have more. */
export function chunksOf<T>(items: readonly T[], sizeOf: (item: T) => number, max: number): T[][] {
  const chunks: T[][] = [];
  let room = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (chunks.length === 0 || size > room) {
      chunks.push([]);
      room = max;
    }
    chunks.at(-1)!.push(item);
    room -= size;
  }
  return chunks;
}

/** How many webhooks each type has. */
async function countMatches(pool: Pool, events: readonly BatchEvent[]): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ type: string; webhooks: number }>({
    name: 'count_matches',
    text: `
select p.type, count(distinct s.webhook_id)::int as webhooks
from unnest($1::uuid[], $2::text[], $3::text[]) p (tenant_id, type, pattern)
join subscriptions s on s.tenant_id = p.tenant_id and s.pattern = p.pattern
group by p.type`,
    values: patternRows(events),
  });
  return new Map(rows.map(({ type, webhooks }) => [type, webhooks]));
}

/**
 * One statement for events of any tenants, in their order; those whose key is taken are looked up by a second one.
 * Undefined for one whose request's key is taken: what became of that request is for the caller to find out.
 */
export async function publishChunk(pool: Pool, events: readonly BatchEvent[]): Promise<(BatchResult | undefined)[]> {
  const { rows } = await pool.query<{ id: string; deliveries: number }>({
    ...PUBLISH_BATCH,
    values: [
      events.map(({ id }) => id),
      events.map(({ tenantId }) => tenantId),
      events.map(({ type }) => type),
      events.map(({ body }) => body),
      events.map(({ once }) => once?.kind ?? null),
      events.map(({ once }) => once?.key ?? null),
      events.map(({ priority = 'normal' }) => PRIORITIES[priority]),
      events.map(({ version }) => version ?? null),
      // Arrays of arrays must be rectangular: each goes as the text of one.
      events.map(({ excluded = [] }) => `{${excluded.join(',')}}`),
      events.map(({ keyFields }) => (keyFields ? arrayText(keyFields) : null)),
      events.map(({ createdAt }) => createdAt.toISOString()),
      events.map(({ request }) => request?.key ?? null),
      events.map(({ request }) => request?.requestHash ?? null),
      events.map(({ request }) => request?.answerHead ?? null),
      ...patternRows(events),
    ],
  });
  const published = new Map(rows.map(({ id, deliveries }) => [id, deliveries]));
  const earlier = await readEarlier(
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

/** A Postgres array literal of texts. */
function arrayText(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

const nameOf = (tenantId: string, { kind, key }: EventKey) => `${tenantId}/${kind}/${key}`;

/** The events that have these keys; a statement of its own, because the first one's snapshot does not see all of them. */
async function readEarlier(
  pool: Pool,
  events: readonly BatchEvent[],
): Promise<Map<string, { eventId: string; deliveries: number }>> {
  if (events.length === 0) return new Map();
  const { rows } = await pool.query<{ tenant_id: string; kind: EventKey['kind']; key: string; event_id: string }>(
    `select k.tenant_id, k.kind, k.key, k.event_id from unnest($1::uuid[], $2::text[], $3::text[]) w (tenant_id, kind, key)
     join idempotency_keys k on k.tenant_id = w.tenant_id and k.kind = w.kind and k.key = w.key`,
    [events.map(({ tenantId }) => tenantId), events.map(({ once }) => once!.kind), events.map(({ once }) => once!.key)],
  );
  const counts = await countDeliveries(pool, [...new Set(rows.map((row) => row.event_id))]);
  return new Map(
    rows.map((row) => [
      nameOf(row.tenant_id, row),
      { eventId: row.event_id, deliveries: counts.get(row.event_id) ?? 0 },
    ]),
  );
}

async function countDeliveries(pool: Pool, eventIds: string[]): Promise<Map<string, number>> {
  // Deliveries share their event's time bits: without these bounds every partition would be looked at.
  const times = eventIds.map(uuidTimeMs);
  const { rows } = await pool.query<{ event_id: string; deliveries: number }>(
    `select event_id, count(*)::int as deliveries from deliveries
     where event_id = any($1::uuid[]) and id between $2 and $3 group by event_id`,
    [eventIds, uuidFloor(Math.min(...times)), uuidFloor(Math.max(...times) + 1)],
  );
  return new Map(rows.map((row) => [row.event_id, row.deliveries]));
}
