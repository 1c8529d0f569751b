import type { Pool } from 'pg';
import { matchingPatterns } from '../../domain/event-types';
import { PRIORITIES } from '../../domain/priorities';
import { prepareStatement } from '../prepared-statement';
import { inTransaction, withConnection } from '../transaction';
import { enqueue, insertDeliveries, insertEvents, makeDeliveries } from './sql';

/**
 * Webhooks that one operational event goes to, those that were registered first: each failure of thousands of webhooks
 * would otherwise be told to thousands.
 */
export const MAX_FAN_OUT = 100;
/**
 * Deliveries that one batch makes, but for those of a single row: with many webhooks it is of fewer rows. Some hundredths
 * of a second.
 */
export const MAX_DELIVERIES_PER_BATCH = 200;
/** Far above what a batch takes; whoever needs longer gives the place to others. */
const STATEMENT_LIMIT_MS = 3_000;

/** An event that was made of a row of the outbox. */
export type OperationalEvent = { outboxId: string; id: string; type: string; body: Buffer; createdAt: Date };

export type OperationalPublished = {
  published: number;
  /** What these events put into the queue. */
  deliveries: number;
  /** More webhooks asked for one of the events than {@link MAX_FAN_OUT}. */
  cut: boolean;
};

const PARAMETERS = {
  tenant_id: 'uuid',
  // Of each of these the nth is the nth event's.
  outbox_ids: 'uuid[]',
  ids: 'uuid[]',
  types: 'text[]',
  bodies: 'bytea[]',
  created_ats: 'timestamptz[]',
  // Each type and a pattern that matches it, side by side.
  pattern_types: 'text[]',
  patterns: 'text[]',
} as const;

/**
 * Publishes a tenant's operational events, each exactly once: what leaves the outbox and what enters the queue is one
 * statement. Events beyond {@link MAX_DELIVERIES_PER_BATCH} stay in the outbox, and so do those that another process
 * is publishing.
 *
 * Parameters: see {@link PARAMETERS}.
 *
 * Reads subscriptions. Deletes from operational_outbox. Writes events, deliveries, delivery_queue.
 *
 * Returns one row: {@link OperationalPublished}.
 */
const PUBLISH_OPERATIONAL = prepareStatement(
  'publish_operational',
  PARAMETERS,
  `
with
-- Each type's webhooks, first registered first, and one more than may get it: that says whether there are others.
subscribed as materialized (
  select t.type, w.webhook_id, w.minimal, row_number() over (partition by t.type order by w.webhook_id) as nth
  from (select distinct type from unnest(:types) as t (type)) t
  cross join lateral (
    select distinct s.webhook_id, s.minimal
    from unnest(:pattern_types, :patterns) as p (type, pattern)
    join subscriptions s on s.tenant_id = :tenant_id and s.pattern = p.pattern
    where p.type = t.type
    order by s.webhook_id limit ${MAX_FAN_OUT} + 1) w),
recipients as materialized (
  select type, webhook_id, minimal from subscribed where nth <= ${MAX_FAN_OUT}),
recipient_counts as materialized (
  select type, count(*) as deliveries from recipients group by type),
-- The first events, as many as make no more deliveries together than a batch may.
fitting as materialized (
  select * from (
    select given.*, sum(coalesce(recipient_counts.deliveries, 0)) over (order by place) as deliveries_so_far
    from unnest(:outbox_ids, :ids, :types, :bodies, :created_ats)
      with ordinality as given (outbox_id, id, type, body, created_at, place)
    left join recipient_counts using (type)) given
  where place = 1 or deliveries_so_far <= ${MAX_DELIVERIES_PER_BATCH}),
-- Their rows leave the outbox; those that are locked are another process's.
taken as materialized (
  delete from operational_outbox where id = any(array(
    select id from operational_outbox
    where id = any(array(select outbox_id from fitting)) and set_aside_at is null
    for update skip locked))
  returning id),
-- The events whose rows were taken. They have no version, and so go out whole, and to all versions.
new_events as materialized (
  select id, :tenant_id as tenant_id, type, body, created_at, null::text[] as key_fields,
    ${PRIORITIES.normal}::smallint as priority, null::text as version, place
  from fitting where outbox_id in (select id from taken)),
${insertEvents('order by place')},
${makeDeliveries('join recipients on recipients.type = new_events.type')},
${insertDeliveries()},
${enqueue('order by place, webhook_id')}
select (select count(*)::int from new_events) as published, (select count(*)::int from new_deliveries) as deliveries,
  exists (select from subscribed where nth > ${MAX_FAN_OUT}) as cut`,
);

/**
 * Publishes events of one tenant, in a transaction whose statements end after {@link STATEMENT_LIMIT_MS}. Their week must
 * have a partition.
 */
export async function publishOperational(
  pool: Pool,
  tenantId: string,
  events: readonly OperationalEvent[],
): Promise<OperationalPublished> {
  const types = [...new Set(events.map(({ type }) => type))];
  const pairs = types.flatMap((type) => matchingPatterns(type).map((pattern) => ({ type, pattern })));
  const values = {
    tenant_id: tenantId,
    outbox_ids: events.map(({ outboxId }) => outboxId),
    ids: events.map(({ id }) => id),
    types: events.map(({ type }) => type),
    bodies: events.map(({ body }) => body),
    created_ats: events.map(({ createdAt }) => createdAt),
    pattern_types: pairs.map(({ type }) => type),
    patterns: pairs.map(({ pattern }) => pattern),
  };
  return withConnection(pool, (client) =>
    inTransaction(client, async () => {
      await client.query(`set local statement_timeout = ${STATEMENT_LIMIT_MS}`);
      const { rows } = await client.query<OperationalPublished>(PUBLISH_OPERATIONAL(values));
      return rows[0]!;
    }),
  );
}
