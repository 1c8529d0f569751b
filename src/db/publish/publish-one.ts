import type { Pool } from 'pg';
import { PRIORITIES, type Priority } from '../../domain/priorities';
import { newDeliveryId } from '../delivery-id';
import { ensurePartitions } from '../partitions';
import { type Earlier, findRequest, UNLESS_TAKEN } from './idempotent-requests';
import type { KeyedRequest } from './publish-batch';

export type NewEvent = {
  id: string;
  tenantId: string;
  type: string;
  /** The exact bytes that every receiver gets. */
  body: Buffer;
  createdAt: Date;
  /** The producer's own id: makes a repeated publish a no-op. */
  producerId?: string;
  /** Every subscription pattern that matches the type. */
  patterns: string[];
  priority?: Priority;
  /** Webhooks that want one version get only that. Without it (our own events), all get the event, and all of it. */
  version?: string;
  /** Webhooks whose filter the event does not pass. */
  excluded?: string[];
  /** What `data` is cut to for webhooks in minimal mode; none: nothing of it is left. */
  keyFields?: string[];
};

export type Published = { eventId: string; type: string; createdAt: Date; deliveries: number; duplicate: boolean };

/**
 * One statement: the event, its deliveries and their queue rows, or nothing at all.
 * An event without a version is our own: it goes out whole, whatever a webhook's payload is.
 * `event_id` is null where the producer's id is already known.
 */
const PUBLISH = {
  name: 'publish',
  text: `
with k as (
  insert into idempotency_keys (tenant_id, kind, key, event_id)
  select $2, 'event', $6, $1 where $6::text is not null
  on conflict do nothing returning event_id),
e as (
  insert into events (id, tenant_id, type, body, created_at, key_fields)
  select $1, $2, $3, $4, $5, $11::text[] where $6::text is null or exists (select from k)
  returning id),
d as (
  insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, minimal)
  select ${newDeliveryId('$1::uuid')}, $2, e.id, s.webhook_id, $3,
    s.minimal and $9::text is not null
  from e cross join (
    select distinct webhook_id, minimal from subscriptions where tenant_id = $2 and pattern = any($7::text[])
      and ($9::text is null or payload_version is null or payload_version = $9) and webhook_id <> all($10::uuid[])) s
  returning id, tenant_id, event_id, webhook_id, event_type),
q as (
  insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, priority)
  select id, tenant_id, event_id, webhook_id, event_type, $8::smallint from d returning 1)
select (select id from e) as event_id, (select count(*) from q)::int as deliveries`,
};

/**
 * The same with an `Idempotency-Key` in place of the producer's id: claims the key and keeps the answer as well. There
 * is no moment at which only a part of it is done, and no more round trips than without. `event_id` is null where the
 * key is taken.
 */
const PUBLISH_ONCE = {
  name: 'publish_once',
  text: `
with s as materialized (
  select distinct webhook_id, minimal from subscriptions where tenant_id = $2 and pattern = any($7::text[])
    and ($11::text is null or payload_version is null or payload_version = $11) and webhook_id <> all($12::uuid[])),
k as (
  insert into idempotent_requests as r (tenant_id, key, id, request_hash, state, status, answer, sealed)
  select $2, $6, $1, $9, 'done', 202, $10 || (select count(*) from s) || '}', false
  ${UNLESS_TAKEN}
  returning 1),
e as (
  insert into events (id, tenant_id, type, body, created_at, key_fields)
  select $1, $2, $3, $4, $5, $13::text[] where exists (select from k)
  returning id),
d as (
  insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, minimal)
  select ${newDeliveryId('$1::uuid')}, $2, e.id, s.webhook_id, $3,
    s.minimal and $11::text is not null
  from e cross join s
  returning id, tenant_id, event_id, webhook_id, event_type),
q as (
  insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, priority)
  select id, tenant_id, event_id, webhook_id, event_type, $8::smallint from d returning 1)
select (select id from e) as event_id, (select count(*) from q)::int as deliveries`,
};

const NO_PARTITION = '23514';
/** A key may expire between being found taken and being looked at. */
const ROUNDS = 3;

/** Stores an event and queues its deliveries. */
export function publishEvent(pool: Pool, event: NewEvent): Promise<Published> {
  return withPartition(pool, event.createdAt, () => insertEvent(pool, event));
}

/** Runs a publish. Where its week has no partition yet, makes it and tries once more. */
export async function withPartition<T>(pool: Pool, createdAt: Date, publish: () => Promise<T>): Promise<T> {
  try {
    return await publish();
  } catch (error) {
    if ((error as { code?: string }).code !== NO_PARTITION) throw error;
    await ensurePartitions(pool, createdAt.getTime());
    return publish();
  }
}

export type PublishedOnce = { state: 'published'; deliveries: number } | Earlier;

/** Publishes an event once for its `Idempotency-Key`, or says what an earlier request with this key has come to. */
export async function publishOnce(
  pool: Pool,
  event: Omit<NewEvent, 'producerId'>,
  { answerHead, ...once }: KeyedRequest,
): Promise<PublishedOnce> {
  const { id, tenantId, type, body, createdAt, patterns, priority = 'normal' } = event;
  const values = [
    ...[id, tenantId, type, body, createdAt, once.key, patterns, PRIORITIES[priority], once.requestHash, answerHead],
    ...[event.version ?? null, event.excluded ?? [], event.keyFields ?? null],
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const { rows } = await withPartition(pool, createdAt, () =>
      pool.query<{ event_id: string | null; deliveries: number }>({ ...PUBLISH_ONCE, values }),
    );
    const { event_id: published, deliveries } = rows[0]!;
    if (published) return { state: 'published', deliveries };
    const earlier = await findRequest(pool, tenantId, once);
    if (earlier) return earlier;
  }
  return { state: 'running' };
}

/** The same over any connection, for who is in a transaction: its week must have a partition. */
export async function insertEvent(pool: Pick<Pool, 'query'>, event: NewEvent): Promise<Published> {
  const { rows } = await pool.query<{ event_id: string | null; deliveries: number }>({
    ...PUBLISH,
    values: [
      event.id,
      event.tenantId,
      event.type,
      event.body,
      event.createdAt,
      event.producerId ?? null,
      event.patterns,
      PRIORITIES[event.priority ?? 'normal'],
      event.version ?? null,
      event.excluded ?? [],
      event.keyFields ?? null,
    ],
  });
  const row = rows[0]!;
  const { type, createdAt } = event;
  if (row.event_id) return { eventId: row.event_id, type, createdAt, deliveries: row.deliveries, duplicate: false };
  return readDuplicate(pool, event);
}

/** A second statement, because the first one's snapshot does not see a key that another publish just committed. */
export async function readDuplicate(pool: Pick<Pool, 'query'>, event: NewEvent): Promise<Published> {
  const { rows } = await pool.query<{ event_id: string; type: string; created_at: Date; deliveries: number }>(
    `select k.event_id, e.type, e.created_at, (select count(*) from deliveries d where d.event_id = k.event_id
        and d.id between (substr(k.event_id::text, 1, 13) || '-0000-0000-000000000000')::uuid
                     and (substr(k.event_id::text, 1, 13) || '-ffff-ffff-ffffffffffff')::uuid)::int as deliveries
     from idempotency_keys k join events e on e.id = k.event_id where k.tenant_id = $1 and k.kind = 'event' and k.key = $2`,
    [event.tenantId, event.producerId],
  );
  const row = rows[0];
  if (!row) throw new Error('the idempotency key vanished between two statements');
  return {
    eventId: row.event_id,
    type: row.type,
    createdAt: row.created_at,
    deliveries: row.deliveries,
    duplicate: true,
  };
}
