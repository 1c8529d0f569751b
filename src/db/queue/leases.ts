import { sql } from 'kysely';
import type { Trigger } from '../../domain/delivery';
import type { Queryable } from '../database';
import { releaseSlots } from './release-slots';

/**
 * The statements by which a worker returns a delivery that it holds, without having made an attempt:
 *
 *   in_progress | retrying ──▶ pending
 *
 * Each one names the holder and the attempt that it expects, so that a late or repeated call changes nothing.
 */

/** An attempt that a worker holds, by its key. */
export type Held = { deliveryId: string; number: number };

/** In an update of a queue row: nobody holds it. */
const NO_HOLDER = sql`holder = null, posting = null`;

/** The slots of the rows that the statement's `returned` has put back. */
const RELEASE_SLOTS = sql.raw(releaseSlots('returned'));

/**
 * Returns a delivery to the queue because its gate holds it. It keeps its attempt count and who asked for the attempt.
 */
export async function requeueDelivery(
  db: Queryable,
  { deliveryId, number }: Held,
  trigger: Trigger,
  holder: number,
): Promise<void> {
  await sql`
    with returned as (
      update delivery_queue set timed = false, lease_until = 'epoch', next_attempt_at = null, trigger = ${trigger},
        ${NO_HOLDER}
      where delivery_id = ${deliveryId} and holder = ${holder} and posting = ${number}
      returning delivery_id, webhook_id)
    ${RELEASE_SLOTS}`.execute(db);
}

/** Releases an attempt that was fenced and not made. */
export async function unfence(db: Queryable, { deliveryId, number }: Held, holder: number): Promise<void> {
  await sql`
    update delivery_queue set ${NO_HOLDER}, lease_until = 'epoch'
    where delivery_id = ${deliveryId} and holder = ${holder} and posting = ${number}`.execute(db);
}

/** Returns a claimed row whose workflow could not be started, and releases its slot. */
export async function releaseLease(db: Queryable, deliveryId: string, holder: number): Promise<void> {
  await sql`
    with returned as (
      update delivery_queue set lease_until = 'epoch', holder = null
      where delivery_id = ${deliveryId} and not timed and holder = ${holder} and posting is null
      returning delivery_id, webhook_id)
    ${RELEASE_SLOTS}`.execute(db);
}

/**
 * Returns rows that the express path has claimed under this id and not begun with; nobody takes them for `waitMs`.
 * Rows are locked in id order.
 */
export async function releaseExpress(db: Queryable, held: readonly Held[], holder: number, waitMs = 0): Promise<void> {
  const ids = held.map(({ deliveryId }) => deliveryId);
  const numbers = held.map(({ number }) => number);
  const leaseUntil = waitMs > 0 ? sql`now() + ${waitMs}::int * interval '1 ms'` : sql`'epoch'`;
  await sql`
    with returned as (
      update delivery_queue set lease_until = ${leaseUntil}, express = false, ${NO_HOLDER}
      where delivery_id = any(array(
        select q.delivery_id from delivery_queue q
        join unnest(${ids}::uuid[], ${numbers}::int[]) held(delivery_id, number) using (delivery_id)
        where q.express and q.holder = ${holder} and q.posting = held.number
        order by q.delivery_id for update of q))
      returning delivery_id, webhook_id)
    ${RELEASE_SLOTS}`.execute(db);
}
