import { sql } from 'kysely';
import { CLAIM_FRESH_MS } from '../../domain/limits';
import { BEAT_EVERY_MS } from '../../domain/liveness';
import type { Queryable } from '../database';
import { isDead, isInFlight, LIVE_HOLDERS } from './lease-holders';
import { releaseSlots } from './release-slots';

/** The statements that cancel deliveries: pending | in_progress | retrying ──▶ cancelled. */

/**
 * After so many beats of its holder since it was claimed or loaded, a POST has begun if it ever will: time that no clock
 * tells, so that none can be set.
 */
const BEGUN_AFTER_BEATS = CLAIM_FRESH_MS / BEAT_EVERY_MS + 1;

/**
 * What became of a request to cancel: done, or noted in the row for the attempt that is in flight. Where that was claimed or
 * loaded a moment ago, its POST may still begin within `beginsWithinMs`, and no later.
 */
export type Cancelled = { state: 'cancelled' } | { state: 'asked'; beginsWithinMs: number };

/**
 * Ends a delivery as cancelled. Nobody can send it from then on: whoever would has to find its row. Where an attempt is in
 * flight the row keeps the request, and the statement that records that attempt ends the delivery. Undefined where the delivery had ended.
 */
export async function cancelDelivery(db: Queryable, deliveryId: string): Promise<Cancelled | undefined> {
  const { rows } = await sql<{ in_flight: boolean; begun: boolean }>`
    with found as materialized (
      select queued.delivery_id, queued.webhook_id, queued.attempt, ${sql.raw(isInFlight('queued'))} as in_flight,
        coalesce((select lease_holders.beats - queued.posted_beat > ${BEGUN_AFTER_BEATS}::int from lease_holders
          where lease_holders.id = queued.holder), false) as begun
      from delivery_queue queued where queued.delivery_id = ${deliveryId} for update of queued),
    asked as (
      update delivery_queue set cancel_asked = true
      where delivery_id = any(array(select delivery_id from found where in_flight))),
    ${endAsCancelled('(select * from found where not in_flight)')}
    select in_flight, begun from found`.execute(db);
  const row = rows[0];
  if (!row) return undefined;
  if (!row.in_flight) return { state: 'cancelled' };
  return { state: 'asked', beginsWithinMs: row.begun ? 0 : CLAIM_FRESH_MS };
}

/**
 * Ends a delivery whose webhook was deleted, or that was to be cancelled (`asked`) and is in flight at nobody but `holder`.
 */
export async function endCancelled(
  db: Queryable,
  deliveryId: string,
  because: 'deleted' | 'asked',
  holder: number | null = null,
): Promise<void> {
  const idle = sql`(queued.holder = ${holder}::int or not ${sql.raw(isInFlight('queued'))})`;
  const asked = because === 'asked' ? sql`and queued.cancel_asked and ${idle}` : sql``;
  await sql`
    with found as materialized (
      select queued.delivery_id, queued.webhook_id, queued.attempt from delivery_queue queued
      where queued.delivery_id = ${deliveryId} ${asked} for update of queued),
    ${endAsCancelled('found')}
    select from found`.execute(db);
}

/**
 * Ends what was to be cancelled and whose attempt nobody is making (any more): its worker died, or returned it. `limit` at a
 * time; returns how many.
 */
export async function sweepCancelled(db: Queryable, limit: number): Promise<number> {
  const { rows } = await sql`
    with ${sql.raw(LIVE_HOLDERS)},
    found as materialized (
      select delivery_id, webhook_id, attempt from delivery_queue
      where cancel_asked and (posting is null or ${sql.raw(isDead('holder'))})
      order by delivery_id limit ${limit}::int for update skip locked),
    ${endAsCancelled('found')}
    select from found`.execute(db);
  return rows.length;
}

/** Deletes the rows, releases their slots and ends the deliveries. `rows` is a table of delivery_id, webhook_id, attempt. */
function endAsCancelled(rows: string) {
  return sql.raw(`dequeued as (
      delete from delivery_queue where delivery_id = any(array(select delivery_id from ${rows} to_end))),
    slots as (
      ${releaseSlots(rows)}),
    ended as (
      update deliveries set state = 'cancelled', ended_at = now(), attempt_count = to_end.attempt
      from ${rows} to_end where deliveries.id = to_end.delivery_id and deliveries.state = 'pending')`);
}

/** Of one page, the part that one webhook and one kind of its deliveries may have at most: a huge one leaves room for others. */
const PART_OF_PAGE = 4;

/**
 * Cancels live deliveries of deleted webhooks, `limit` at a time, of several webhooks together; none is left once it
 * cancels none. Returns those that wait for a timer, whose workflows can be signalled.
 */
export async function cancelOfDeletedWebhooks(
  db: Queryable,
  limit: number,
): Promise<{ cancelled: number; timed: string[] }> {
  const each = Math.ceil(limit / PART_OF_PAGE);
  const { rows } = await sql<{ id: string; timed: boolean }>`
    with orphans as materialized (
      select live.delivery_id from (
        select id, tenant_id from webhooks where deleted_at is not null and cleared_at is null order by random()) webhook
      cross join lateral (
        select due.delivery_id from (select queued.delivery_id from delivery_queue queued
          where queued.priority = any('{0,1,2}') and queued.tenant_id = webhook.tenant_id
            and queued.webhook_id = webhook.id and not queued.timed limit ${each}::int for update skip locked) due
        union all
        select waiting.delivery_id from (select queued.delivery_id from delivery_queue queued
          where queued.webhook_id = webhook.id and queued.timed limit ${each}::int for update skip locked) waiting) live
      limit ${limit}::int),
    dequeued as (
      delete from delivery_queue where delivery_id = any(array(select delivery_id from orphans))
      returning delivery_id, timed, attempt)
    update deliveries set state = 'cancelled', ended_at = now(), attempt_count = dequeued.attempt
    from dequeued where deliveries.id = dequeued.delivery_id and deliveries.state = 'pending'
    returning deliveries.id, dequeued.timed`.execute(db);
  return { cancelled: rows.length, timed: rows.filter((row) => row.timed).map((row) => row.id) };
}

/** Marks deleted webhooks that are done with: they have no live deliveries, and no publish can still be adding any. */
export async function clearDeletedWebhooks(db: Queryable): Promise<void> {
  await sql`
    update webhooks set cleared_at = now()
    where deleted_at < now() - interval '1 minute' and cleared_at is null
      and not exists (select from delivery_queue queued where queued.webhook_id = webhooks.id and queued.timed)
      and not exists (select from delivery_queue queued where queued.priority = any('{0,1,2}')
        and queued.tenant_id = webhooks.tenant_id and queued.webhook_id = webhooks.id and not queued.timed)`.execute(
    db,
  );
}
