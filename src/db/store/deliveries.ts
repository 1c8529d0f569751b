import { sql } from 'kysely';
import type { FailedBecause } from '../../domain/classify';
import { type DeliveryState, END_STATES, type EndState, type HeldBecause, visibleState } from '../../domain/delivery';
import type { DeliveryPath } from '../../domain/delivery-mode';
import { sameTimeBounds, uuidFloor } from '../../domain/ids';
import type { Queryable } from '../database';
import { gateConditions } from '../queue/gate-conditions';
import { isInFlight } from '../queue/lease-holders';
import { lastAttempt } from './attempts';
import { type Found, type Part, scanIds, upTo } from './scan';

export type Delivery = {
  id: string;
  eventId: string;
  eventType: string;
  webhookId: string;
  state: DeliveryState;
  heldBecause: HeldBecause | undefined;
  attemptCount: number;
  nextAttemptAt: Date | null;
  endedAt: Date | null;
  lastStatus: number | null;
  lastError: string | null;
  /** When the last attempt began. */
  lastAttemptAt: Date | null;
  /** How long it took until it was answered; null where it was not. */
  responseTimeMs: number | null;
  failedBecause: FailedBecause | null;
  /** Its webhook gets the key fields of the data only. */
  minimal: boolean;
  /** Null: not claimed yet. */
  path: DeliveryPath | null;
  webhookDeleted: boolean;
  /** It ends with the attempt that is in flight, if that does not succeed. */
  cancelAsked: boolean;
};

export type DeliveryFilter = Part & {
  state?: DeliveryState;
  webhookId?: string;
  eventId?: string;
  eventType?: string;
  since: Date;
  until: Date;
};

export async function findDelivery(db: Queryable, tenantId: string, id: string): Promise<Delivery | undefined> {
  const row = await selectDeliveries(db, tenantId).where('d.id', '=', id).executeTakeFirst();
  return row && toDelivery(row);
}

/**
 * Newest first, by keyset within the time window. The state filter is the state that people see. A filter that no
 * index serves is applied to a bounded number of deliveries: see {@link scanIds}.
 */
export async function listDeliveries(
  db: Queryable,
  tenantId: string,
  filter: DeliveryFilter,
): Promise<Found<Delivery>> {
  const { limit, webhookId, eventId, state } = filter;
  // Else the index of webhooks would lead through another tenant's deliveries.
  if (webhookId && !(await isOwnWebhook(db, tenantId, webhookId))) return { rows: [], next: undefined };
  if (!eventId && (state || filter.eventType)) return scanDeliveries(db, tenantId, filter);
  let query = selectDeliveries(db, tenantId)
    .where('d.id', '>=', uuidFloor(filter.since.getTime()))
    .where('d.id', '<', uuidFloor(filter.until.getTime()))
    .orderBy('d.id', 'desc')
    .limit(limit + 1);
  if (filter.beforeId) query = query.where('d.id', '<', filter.beforeId);
  if (webhookId) query = query.where('d.webhook_id', '=', webhookId);
  if (eventId) {
    // An event has few deliveries, and they are within a millisecond: whatever is asked of them is read from them.
    const { from, to } = sameTimeBounds(eventId);
    query = query.where('d.event_id', '=', eventId).where('d.id', '>=', from).where('d.id', '<', to);
    if (filter.eventType) query = query.where('d.event_type', '=', filter.eventType);
    if (state) query = query.where(stateIs(state));
  }
  const { rows, next } = upTo(limit, await query.execute());
  return { rows: rows.map(toDelivery), next };
}

async function scanDeliveries(db: Queryable, tenantId: string, filter: DeliveryFilter): Promise<Found<Delivery>> {
  const { webhookId, state, eventType, beforeId, limit } = filter;
  // Failures have an index of their own, by tenant.
  const owner =
    state === 'failed'
      ? sql`d.tenant_id = ${tenantId} and d.failed_because is not null`
      : webhookId
        ? sql`d.webhook_id = ${webhookId}`
        : sql`d.tenant_id = ${tenantId}`;
  const before = beforeId ? sql`and d.id < ${beforeId}` : sql``;
  const rows = sql`
    select d.id, d.state, d.webhook_id, d.event_type from deliveries d
    where ${owner} and d.id >= ${uuidFloor(filter.since.getTime())}
      and d.id < ${uuidFloor(filter.until.getTime())} ${before}`;
  const wanted = [
    ...(state ? [stateIs(state)] : []),
    ...(eventType ? [sql`d.event_type = ${eventType}`] : []),
    ...(webhookId ? [sql`d.webhook_id = ${webhookId}`] : []),
  ];
  const isLive = state && !END_STATES.some((end) => end === state);
  const { ids, next } = await scanIds(
    db,
    {
      rows,
      matches: sql.join(wanted, sql` and `),
      ...(isLive && { joins: LIVE }),
    },
    limit,
  );
  if (ids.length === 0) return { rows: [], next };
  const found = await selectDeliveries(db, tenantId)
    .where('d.id', 'in', ids)
    .where('d.id', '>=', ids.at(-1)!)
    .where('d.id', '<=', ids[0]!)
    .orderBy('d.id', 'desc')
    .execute();
  // One may have moved on between the two statements.
  return { rows: found.map(toDelivery).filter((delivery) => !state || delivery.state === state), next };
}

/** `offset 0`: row by row through the keys. Joined as a whole, the queue would be read to its end. */
const LIVE = sql`
  left join lateral (select * from delivery_queue q where q.delivery_id = d.id and d.state = 'pending' offset 0) q on true
  left join lateral (select * from webhook_gates g where g.webhook_id = d.webhook_id and d.state = 'pending' offset 0) g
    on true`;

async function isOwnWebhook(db: Queryable, tenantId: string, id: string): Promise<boolean> {
  const query = db.selectFrom('webhooks').select('id').where('id', '=', id).where('tenant_id', '=', tenantId);
  return (await query.executeTakeFirst()) !== undefined;
}

/** The POST of an attempt is under way, or may begin at any moment. */
const inFlight = sql.raw(isInFlight('q'));

/** SQL for the rule of `visibleState`; the mapper below applies the same rule to each row. */
function stateIs(state: DeliveryState) {
  const held = sql`coalesce(${heldBecause} is not null, false)`;
  switch (state) {
    case 'delivered':
    case 'failed':
    case 'cancelled':
      return sql<boolean>`d.state = ${state}`;
    case 'in_progress':
      return sql<boolean>`d.state = 'pending' and ${inFlight}`;
    case 'retrying':
      return sql<boolean>`d.state = 'pending' and q.timed and not ${inFlight} and not ${WEBHOOK_DELETED}`;
    case 'held':
      return sql<boolean>`d.state = 'pending' and not ${inFlight} and (${WEBHOOK_DELETED} or not q.timed) and ${held}`;
    case 'pending':
      return sql<boolean>`d.state = 'pending' and
        (q.delivery_id is null or (not q.timed and not ${inFlight} and not ${held}))`;
  }
}

const gate = gateConditions('g');
const OTHERS_HAVE_SLOT = `(${gate.slotIsTaken} and g.slot_delivery_id is distinct from d.id)`;
/** A deleted webhook has no gate. Of a queue row only: what has ended may have none, either. */
const WEBHOOK_DELETED = sql`(g.webhook_id is null and q.delivery_id is not null)`;
/** An older one of the webhook has not ended: the claim takes an ordered webhook's deliveries in their order. */
const OLDER_IS_LIVE = `(exists (
      select from delivery_queue older where older.webhook_id = q.webhook_id and older.seq < q.seq and older.timed)
    or exists (
      select from delivery_queue older where older.tenant_id = q.tenant_id and older.webhook_id = q.webhook_id
        and older.seq < q.seq and not older.timed and older.priority = any('{0,1,2}')))`;

/**
 * Why a waiting delivery is not sent, from its webhook's gate; null if nothing holds it. The claim goes by the same
 * conditions. A half-open breaker holds all but its probe, and the order of a webhook all but its oldest delivery.
 */
const heldBecause = sql<HeldBecause | null>`
  case when ${WEBHOOK_DELETED} then 'deleted'
    when g.status in ('paused', 'disabled') then g.status
    when g.unverified then 'unverified'
    when g.blocked_until > now() then 'throttled'
    when ${sql.raw(gate.breakerIsOpen)} or (g.breaker_until is not null and ${sql.raw(OTHERS_HAVE_SLOT)}) then 'circuit_open'
    when g.ordered and (${sql.raw(OTHERS_HAVE_SLOT)} or ${sql.raw(OLDER_IS_LIVE)}) then 'ordered'
    when ${sql.raw(gate.arrivalTime)} > now() - interval '1 s' / g.rate_per_second then 'rate_limited' end`;

/** The delivery that goes first of an ordered webhook: the oldest that has not ended. */
export async function findHead(db: Queryable, tenantId: string, webhookId: string): Promise<string | undefined> {
  const { rows } = await sql<{ id: string }>`
    select delivery_id as id from (
      (select delivery_id, seq from delivery_queue where timed and webhook_id = ${webhookId} and tenant_id = ${tenantId}
       order by seq limit 1)
      union all
      (select q.delivery_id, q.seq from unnest('{0,1,2}'::smallint[]) l(priority) cross join lateral (
        select delivery_id, seq from delivery_queue
        where not timed and priority = l.priority and webhook_id = ${webhookId} and tenant_id = ${tenantId}
        order by seq limit 1) q)) q
    order by seq limit 1`.execute(db);
  return rows[0]?.id;
}

function selectDeliveries(db: Queryable, tenantId: string) {
  return db
    .selectFrom('deliveries as d')
    .leftJoin('delivery_queue as q', 'q.delivery_id', 'd.id')
    .leftJoin('webhook_gates as g', 'g.webhook_id', 'd.webhook_id')
    .leftJoinLateral(lastAttempt, (join) => join.onTrue())
    .select([
      'd.id',
      'd.event_id',
      'd.event_type',
      'd.webhook_id',
      'd.state',
      'd.attempt_count',
      'd.ended_at',
      'd.failed_because',
      'd.minimal',
      'd.path',
      'q.express',
      'a.status_code',
      'a.error_code',
      'a.started_at',
      'a.duration_ms',
      'q.timed',
      'q.attempt',
      'q.next_attempt_at',
      'q.cancel_asked',
      heldBecause.as('held_because'),
      sql<boolean>`g.webhook_id is null`.as('webhook_deleted'),
      sql<boolean>`${inFlight}`.as('in_flight'),
    ])
    .where('d.tenant_id', '=', tenantId);
}

/** While it lives, its queue row says it; one that was reopened keeps the path of its last end until it is claimed. */
function pathOf({ path, express, in_flight, attempt }: DeliveryRow): DeliveryPath | null {
  if (!in_flight && !attempt) return path;
  return express ? 'express' : 'workflow';
}

type DeliveryRow = Awaited<ReturnType<ReturnType<typeof selectDeliveries>['execute']>>[number];

function toDelivery(row: DeliveryRow): Delivery {
  const queue = row.timed === null ? undefined : { timed: row.timed, inFlight: row.in_flight };
  const held = row.held_because ?? undefined;
  const state = visibleState(row.state as 'pending' | EndState, queue, held);
  return {
    id: row.id,
    eventId: row.event_id,
    eventType: row.event_type,
    webhookId: row.webhook_id,
    state,
    heldBecause: state === 'held' ? held : undefined,
    attemptCount: row.attempt ?? row.attempt_count,
    nextAttemptAt: state === 'retrying' ? row.next_attempt_at : null,
    endedAt: row.ended_at,
    lastStatus: row.status_code,
    lastError: row.error_code,
    lastAttemptAt: row.started_at,
    responseTimeMs: row.status_code === null ? null : row.duration_ms,
    failedBecause: row.failed_because,
    minimal: row.minimal,
    path: pathOf(row),
    webhookDeleted: row.webhook_deleted,
    cancelAsked: row.cancel_asked === true,
  };
}
