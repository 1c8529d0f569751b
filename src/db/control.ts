import { type Kysely, sql } from 'kysely';
import type { EndState, Trigger } from '../domain/delivery';
import { uuidFloor, uuidTimeMs } from '../domain/ids';
import type { QueuedDelivery } from './claim';
import type { Tables } from './tables';

/**
 * The statements that move a delivery other than by recording an attempt:
 *
 *   in_progress | retrying ──▶ pending      requeue (gate shut when its time came)
 *   pending | in_progress | retrying ──▶ cancelled
 *   retrying ──▶ retrying at another time        reschedule
 *
 * Every one names the state it expects, so that a late or repeated call changes nothing.
 */

type Db = Kysely<Tables>;

/** Gives a delivery back to the queue behind its shut gate, keeping its attempt count and who asked for the attempt. */
export async function requeueDelivery(db: Db, deliveryId: string, trigger: Trigger): Promise<void> {
  await sql`
    with q as (
      update delivery_queue set timed = false, lease_until = 'epoch', next_attempt_at = null, trigger = ${trigger}
      where delivery_id = ${deliveryId} returning webhook_id)
    update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
    from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = ${deliveryId}`.execute(db);
}

/**
 * Holds a row while a later attempt runs, so that people see `in_progress`. False where the delivery has ended, or the
 * express lane has just claimed it.
 */
export async function leaseForRetry(db: Db, deliveryId: string, leaseMs: number): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update delivery_queue set lease_until = now() + ${leaseMs}::int * interval '1 ms', express = false
    where delivery_id = ${deliveryId} and not (express and lease_until > now())`.execute(db);
  return (numAffectedRows ?? 0n) > 0n;
}

/**
 * Takes what an attempt needs that was not claimed (its timer fired, or an operator asked for it): the slot of an
 * ordered webhook, which is the oldest delivery's, and a token of a rate-limited one. False where there is none; the
 * claim then sees to the delivery in its turn.
 */
export async function takeTurn(db: Db, deliveryId: string, webhookId: string, leaseMs: number): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update webhook_gates g set
      slot_delivery_id = case when g.ordered then ${deliveryId}::uuid else g.slot_delivery_id end,
      slot_until = case when g.ordered then now() + ${leaseMs}::int * interval '1 ms' else g.slot_until end,
      tat = case when g.rate_per_second is null then g.tat else
        greatest(g.tat, now() - g.burst * interval '1 s' / g.rate_per_second) + interval '1 s' / g.rate_per_second end
    where g.webhook_id = ${webhookId} and exists (select from delivery_queue where delivery_id = ${deliveryId})
      and (g.rate_per_second is null or g.tat <= now() - interval '1 s' / g.rate_per_second)
      and (not g.ordered or g.slot_delivery_id = ${deliveryId} or (g.slot_until < now() and not exists (
        select from delivery_queue own, delivery_queue q
        where own.delivery_id = ${deliveryId} and q.webhook_id = ${webhookId} and q.seq < own.seq
          and not q.timed and q.lane = any('{0,1,2}')) and not exists (
        select from delivery_queue own, delivery_queue q
        where own.delivery_id = ${deliveryId} and q.webhook_id = ${webhookId} and q.seq < own.seq and q.timed)))`.execute(
    db,
  );
  return (numAffectedRows ?? 0n) > 0n;
}

/** Gives a claimed row back before its lease is over, and with it the slot of an ordered webhook. */
export async function releaseLease(db: Db, deliveryId: string): Promise<void> {
  await sql`
    with q as (
      update delivery_queue set lease_until = 'epoch' where delivery_id = ${deliveryId} and not timed
      returning webhook_id)
    update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
    from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = ${deliveryId}`.execute(db);
}

/** The same for rows that the express lane has claimed and not begun with. */
export async function releaseLeases(db: Db, deliveryIds: readonly string[]): Promise<void> {
  await sql`
    with q as (
      update delivery_queue set lease_until = 'epoch', express = false
      where delivery_id = any(${deliveryIds}::uuid[]) and not timed and express returning delivery_id, webhook_id)
    update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
    from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = q.delivery_id`.execute(db);
}

/**
 * Ends a delivery as cancelled. `if_waiting` leaves one alone that an attempt or a timer holds (the workflow must be
 * asked); `unless_express` one that the express lane is attempting; `always` is for the workflow itself, and for one whose
 * workflow is gone. True where it was cancelled now.
 */
export async function cancelDelivery(
  db: Db,
  deliveryId: string,
  mode: 'if_waiting' | 'unless_express' | 'always',
): Promise<boolean> {
  const waiting = {
    if_waiting: sql`and not timed and lease_until <= now()`,
    unless_express: sql`and not (express and lease_until > now())`,
    always: sql``,
  }[mode];
  const { numAffectedRows } = await sql`
    with q as (
      delete from delivery_queue where delivery_id = ${deliveryId} ${waiting} returning webhook_id, attempt),
    g as (
      update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
      from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = ${deliveryId})
    update deliveries d set state = 'cancelled', ended_at = now(), attempt_count = q.attempt
    from q where d.id = ${deliveryId} and d.state = 'pending'`.execute(db);
  return (numAffectedRows ?? 0n) > 0n;
}

/** How long a delivery still waits after this attempt, milliseconds. Undefined where it does not, or another was made. */
export async function findWait(db: Db, deliveryId: string, attempt: number): Promise<number | undefined> {
  const { rows } = await sql<{ waitMs: number }>`
    select greatest(0, extract(epoch from next_attempt_at - now()) * 1000)::float8 as "waitMs" from delivery_queue
    where delivery_id = ${deliveryId} and timed and attempt = ${attempt}`.execute(db);
  return rows[0]?.waitMs;
}

/** How a delivery ended, and how many attempts it has had. */
export type Ended = { kind: EndState; attempts: number };

/** The end that stands in the record; `cancelled` for a delivery of which nothing is left. */
export async function findEnd(db: Db, deliveryId: string): Promise<Ended> {
  const { rows } = await sql<{ state: 'pending' | EndState; attempts: number }>`
    select d.state, (select coalesce(max(a.number), 0) from attempts a where a.delivery_id = d.id) as attempts
    from deliveries d where d.id = ${deliveryId}`.execute(db);
  const { state, attempts } = rows[0] ?? { state: 'cancelled', attempts: 0 };
  return { kind: state === 'pending' ? 'cancelled' : state, attempts };
}

/**
 * Makes a live delivery claimable now, for one whose workflow is gone. A lease is left to run out, and with it the
 * slot of an ordered webhook.
 */
export async function releaseToQueue(db: Db, deliveryId: string, trigger: Trigger, askedBy: string): Promise<boolean> {
  const { numAffectedRows } = await sql`
    with g as (
      update webhook_gates g set slot_until = q.lease_until
      from delivery_queue q
      where q.delivery_id = ${deliveryId} and g.webhook_id = q.webhook_id and g.slot_delivery_id = q.delivery_id)
    update delivery_queue
    set timed = false, next_attempt_at = null, trigger = ${trigger}, asked_by = ${askedBy}::uuid
    where delivery_id = ${deliveryId}`.execute(db);
  return (numAffectedRows ?? 0n) > 0n;
}

/** Marks a delivery that waits in the queue as asked for by hand. False where something holds it already. */
export async function markTrigger(db: Db, deliveryId: string, trigger: Trigger, askedBy: string): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update delivery_queue set trigger = ${trigger}, asked_by = ${askedBy}
    where delivery_id = ${deliveryId} and not timed and lease_until <= now()`.execute(db);
  return (numAffectedRows ?? 0n) > 0n;
}

/** Lets a live delivery wait for another time. False where it has ended. */
export async function setNextAttempt(db: Db, deliveryId: string, at: Date): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update delivery_queue set timed = true, next_attempt_at = ${at}, lease_until = 'epoch'
    where delivery_id = ${deliveryId}`.execute(db);
  return (numAffectedRows ?? 0n) > 0n;
}

/** A retry this late that the express lane left to the engine, and that no workflow has taken up yet. */
const LEFT_BY_EXPRESS_MS = 10_000;

/**
 * Deliveries whose retry is `overdueMs` late, oldest first: their workflow may be lost. One that still bears the mark of
 * the express lane may never have had any, and is found sooner. They count as due from now, so that the next round takes
 * others.
 */
export async function takeOverdue(db: Db, overdueMs: number, limit: number) {
  const { rows } = await sql<QueuedDelivery>`
    with due as materialized (
      select delivery_id from delivery_queue
      where timed and next_attempt_at < now() - ${Math.min(overdueMs, LEFT_BY_EXPRESS_MS)}::int * interval '1 ms'
        and (express or next_attempt_at < now() - ${overdueMs}::int * interval '1 ms') and lease_until < now()
      order by next_attempt_at limit ${limit}::int for update skip locked)
    update delivery_queue q set next_attempt_at = now()
    from webhooks w
    where q.delivery_id = any(array(select delivery_id from due)) and w.id = q.webhook_id
    returning q.delivery_id as "deliveryId", q.tenant_id as "tenantId", q.webhook_id as "webhookId",
      q.event_type as "eventType", q.attempt, w.host`.execute(db);
  return rows;
}

/**
 * Cancels live deliveries of deleted webhooks, `limit` at a time; returns those that wait for a timer, whose
 * workflows can be told. A webhook is done with once it has none left and no publish can still be adding any.
 */
export async function cancelOfDeletedWebhooks(db: Db, limit: number): Promise<{ cancelled: number; timed: string[] }> {
  const { rows } = await sql<{ id: string; timed: boolean }>`
    with dead as materialized (
      select q.delivery_id from webhooks w join lateral (
        (select delivery_id from delivery_queue q
          where q.lane = any('{0,1,2}') and q.webhook_id = w.id and not q.timed limit ${limit}::int)
        union all
        (select delivery_id from delivery_queue q where q.webhook_id = w.id and q.timed limit ${limit}::int)) q on true
      where w.deleted_at is not null and w.cleared_at is null limit ${limit}::int),
    gone as (
      delete from delivery_queue where delivery_id = any(array(select delivery_id from dead))
      returning delivery_id, timed, attempt)
    update deliveries d set state = 'cancelled', ended_at = now(), attempt_count = gone.attempt
    from gone where d.id = gone.delivery_id and d.state = 'pending'
    returning d.id, gone.timed`.execute(db);
  if (rows.length === 0) {
    await sql`
      update webhooks set cleared_at = now()
      where deleted_at < now() - interval '1 minute' and cleared_at is null`.execute(db);
  }
  return { cancelled: rows.length, timed: rows.filter((row) => row.timed).map((row) => row.id) };
}

/** The bounds of every id that shares a millisecond: lets Postgres prune partitions of tables keyed by another id. */
export function sameTimeBounds(uuid: string): { from: string; to: string } {
  const atMs = uuidTimeMs(uuid);
  return { from: uuidFloor(atMs), to: uuidFloor(atMs + 1) };
}
