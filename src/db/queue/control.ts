import { type Kysely, sql } from 'kysely';
import type { EndState, Trigger } from '../../domain/delivery';
import { PRIORITIES } from '../../domain/priorities';
import type { Tables } from '../tables';
import type { QueuedDelivery } from './claim-workflow';
import { ARRIVAL_TIME, SLOT_IS_TAKEN } from './gate-conditions';
import { IN_FLIGHT, isDead, LIVE_HOLDERS } from './lease-holders';

/**
 * The statements that move a delivery other than by recording an attempt or cancelling it (./cancel.ts):
 *
 *   in_progress | retrying ──▶ pending      requeue (gate shut when its time came)
 *   retrying ──▶ retrying at another time        reschedule
 *
 * Every one names the state it expects, so that a late or repeated call changes nothing.
 */

type Db = Kysely<Tables>;

/** An attempt that someone holds, by its key. */
export type Held = { deliveryId: string; number: number };

/** In an update of a queue row: nobody holds it. */
const LET_GO = sql`holder = null, posting = null`;

/**
 * Gives a delivery back to the queue behind its shut gate, keeping its attempt count and who asked for the attempt; for
 * whom holds it.
 */
export async function requeueDelivery(
  db: Db,
  { deliveryId, number }: Held,
  trigger: Trigger,
  holder: number,
): Promise<void> {
  await sql`
    with q as (
      update delivery_queue set timed = false, lease_until = 'epoch', next_attempt_at = null, trigger = ${trigger},
        ${LET_GO}
      where delivery_id = ${deliveryId} and holder = ${holder} and posting = ${number} returning webhook_id)
    update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
    from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = ${deliveryId}`.execute(db);
}

/**
 * Takes what an attempt needs that was not claimed (its timer fired, or an operator asked for it): the slot of an
 * ordered webhook, which is the oldest delivery's, and a token of a rate-limited one. False where there is none; the
 * claim then sees to the delivery in its turn.
 */
export async function takeTurn(db: Db, deliveryId: string, webhookId: string, leaseMs: number): Promise<boolean> {
  const arrivalTime = sql.raw(ARRIVAL_TIME);
  const { numAffectedRows } = await sql`
    update webhook_gates g set
      slot_delivery_id = case when g.ordered then ${deliveryId}::uuid else g.slot_delivery_id end,
      slot_until = case when g.ordered then now() + ${leaseMs}::int * interval '1 ms' else g.slot_until end,
      tat = case when g.rate_per_second is null then g.tat else
        greatest(${arrivalTime}, now() - g.burst * interval '1 s' / g.rate_per_second) + interval '1 s' / g.rate_per_second end
    where g.webhook_id = ${webhookId} and exists (select from delivery_queue where delivery_id = ${deliveryId})
      and (g.rate_per_second is null or ${arrivalTime} <= now() - interval '1 s' / g.rate_per_second)
      and (not g.ordered or g.slot_delivery_id = ${deliveryId} or (not ${sql.raw(SLOT_IS_TAKEN)} and not exists (
        select from delivery_queue own, delivery_queue q
        where own.delivery_id = ${deliveryId} and q.tenant_id = own.tenant_id and q.webhook_id = ${webhookId}
          and q.seq < own.seq and not q.timed and q.priority = any('{0,1,2}')) and not exists (
        select from delivery_queue own, delivery_queue q
        where own.delivery_id = ${deliveryId} and q.webhook_id = ${webhookId} and q.seq < own.seq and q.timed)))`.execute(
    db,
  );
  return (numAffectedRows ?? 0n) > 0n;
}

/** Lets go of an attempt that was fenced and not made. */
export async function unfence(db: Db, { deliveryId, number }: Held, holder: number): Promise<void> {
  await sql`
    update delivery_queue set ${LET_GO}, lease_until = 'epoch'
    where delivery_id = ${deliveryId} and holder = ${holder} and posting = ${number}`.execute(db);
}

/** Gives a claimed row back whose workflow could not be started, and with it the slot of an ordered webhook. */
export async function releaseLease(db: Db, deliveryId: string, holder: number): Promise<void> {
  await sql`
    with q as (
      update delivery_queue set lease_until = 'epoch', holder = null
      where delivery_id = ${deliveryId} and not timed and holder = ${holder} and posting is null
      returning webhook_id)
    update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
    from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = ${deliveryId}`.execute(db);
}

/**
 * Gives rows back that the express path has claimed under this id and not begun with; nobody takes them for `waitMs`.
 */
export async function releaseExpress(db: Db, held: readonly Held[], holder: number, waitMs = 0): Promise<void> {
  const ids = held.map(({ deliveryId }) => deliveryId);
  const numbers = held.map(({ number }) => number);
  const leaseUntil = waitMs > 0 ? sql`now() + ${waitMs}::int * interval '1 ms'` : sql`'epoch'`;
  await sql`
    with q as (
      update delivery_queue set lease_until = ${leaseUntil}, express = false, ${LET_GO}
      where delivery_id = any(array(
        select q.delivery_id from delivery_queue q
        join unnest(${ids}::uuid[], ${numbers}::int[]) h(delivery_id, number) using (delivery_id)
        where q.express and q.holder = ${holder} and q.posting = h.number
        order by q.delivery_id for update of q))
      returning delivery_id, webhook_id)
    update webhook_gates g set slot_delivery_id = null, slot_until = 'epoch'
    from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = q.delivery_id`.execute(db);
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
 * Asks for an attempt of a live delivery now, whatever its timer says: it is claimable, ahead of others, and the wait that
 * was running goes on after it. One that is in flight is attempted once more when that has come to nothing; one that waits
 * behind a shut gate stays there. False where it has ended, or is being cancelled.
 */
export async function askForAttempt(db: Db, deliveryId: string, askedBy: string): Promise<boolean> {
  const { rows } = await sql`
    with q as materialized (
      select q.delivery_id, q.webhook_id, ${sql.raw(IN_FLIGHT)} as in_flight from delivery_queue q
      where q.delivery_id = ${deliveryId} and not q.cancel_asked for update of q),
    slots as (
      update webhook_gates g set slot_until = 'epoch'
      from q where g.webhook_id = q.webhook_id and g.slot_delivery_id = q.delivery_id and not q.in_flight)
    update delivery_queue d
    set timed = false, trigger = 'manual', asked_by = ${askedBy}::uuid, priority = ${PRIORITIES.high}::smallint
    from q where d.delivery_id = q.delivery_id
    returning d.delivery_id`.execute(db);
  return rows.length > 0;
}

/**
 * Lets a delivery that waits wait for another time. Returns how often it was moved, this time included: an attempt that does
 * not know of it is not made before the time. Undefined where the delivery does not wait, or not any more.
 */
export async function moveNextAttempt(db: Db, deliveryId: string, at: Date): Promise<number | undefined> {
  const { rows } = await sql<{ moves: number }>`
    update delivery_queue q set next_attempt_at = ${at}, moves = moves + 1
    where delivery_id = ${deliveryId} and timed and not cancel_asked and not ${sql.raw(IN_FLIGHT)}
    returning moves`.execute(db);
  return rows[0]?.moves;
}

/** The same for a workflow that was told by a signal alone. */
export async function setNextAttempt(db: Db, deliveryId: string, at: Date): Promise<void> {
  await sql`
    update delivery_queue q set next_attempt_at = ${at}
    where delivery_id = ${deliveryId} and timed and not ${sql.raw(IN_FLIGHT)}`.execute(db);
}

/** A retry this late that the express path left to the engine, and that no workflow has taken up yet. */
const LEFT_BY_EXPRESS_MS = 10_000;

/**
 * Deliveries whose retry is `overdueMs` late, oldest first: their workflow may be lost. One that still bears the mark of
 * the express path may never have had any, and is found sooner. They count as due from now, so that the next round takes
 * others.
 */
export async function takeOverdue(db: Db, overdueMs: number, limit: number) {
  const { rows } = await sql<QueuedDelivery>`
    with ${sql.raw(LIVE_HOLDERS)},
    due as materialized (
      select delivery_id from delivery_queue
      where timed and next_attempt_at < now() - ${Math.min(overdueMs, LEFT_BY_EXPRESS_MS)}::int * interval '1 ms'
        and (express or next_attempt_at < now() - ${overdueMs}::int * interval '1 ms')
        and (posting is null or ${sql.raw(isDead('holder'))})
      order by next_attempt_at limit ${limit}::int for update skip locked)
    update delivery_queue q set next_attempt_at = now()
    from webhooks w
    where q.delivery_id = any(array(select delivery_id from due)) and w.id = q.webhook_id
    returning q.delivery_id as "deliveryId", q.tenant_id as "tenantId", q.webhook_id as "webhookId",
      q.event_type as "eventType", q.attempt, w.host`.execute(db);
  return rows;
}
