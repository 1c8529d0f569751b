import { sql } from 'kysely';
import { PRIORITIES } from '../../domain/priorities';
import type { Queryable } from '../database';
import { isInFlight } from './lease-holders';

/**
 * What an operator may ask of a live delivery besides its cancellation (./cancel.ts):
 *
 *   retrying | pending ──▶ pending               askForAttempt
 *   retrying ──▶ retrying at another time        moveNextAttempt, setNextAttempt
 *
 * Each statement names the state it expects, so that a late or repeated call changes nothing.
 */

/**
 * Asks for an attempt of a live delivery now, whatever its timer says: it is claimable, ahead of others, and the wait that
 * was running goes on after it. One that is in flight is attempted once more when that has come to nothing; one that its
 * gate holds stays held. False where it has ended, or is being cancelled.
 */
export async function askForAttempt(db: Queryable, deliveryId: string, askedBy: string): Promise<boolean> {
  const { rows } = await sql`
    with asked as materialized (
      select q.delivery_id, q.webhook_id, ${sql.raw(isInFlight('q'))} as in_flight from delivery_queue q
      where q.delivery_id = ${deliveryId} and not q.cancel_asked for update of q),
    slots as (
      update webhook_gates g set slot_until = 'epoch'
      from asked where g.webhook_id = asked.webhook_id and g.slot_delivery_id = asked.delivery_id and not asked.in_flight)
    update delivery_queue q
    set timed = false, trigger = 'manual', asked_by = ${askedBy}::uuid, priority = ${PRIORITIES.high}::smallint
    from asked where q.delivery_id = asked.delivery_id
    returning q.delivery_id`.execute(db);
  return rows.length > 0;
}

/**
 * Lets a delivery that waits wait for another time. Returns how often it was moved, this time included: an attempt that does
 * not know of it is not made before the time. Undefined where the delivery does not wait, or not any more.
 */
export async function moveNextAttempt(db: Queryable, deliveryId: string, at: Date): Promise<number | undefined> {
  const { rows } = await sql<{ moves: number }>`
    update delivery_queue q set next_attempt_at = ${at}, moves = moves + 1
    where delivery_id = ${deliveryId} and timed and not cancel_asked and not ${sql.raw(isInFlight('q'))}
    returning moves`.execute(db);
  return rows[0]?.moves;
}

/** The same for a command that came as a signal alone. */
export async function setNextAttempt(db: Queryable, deliveryId: string, at: Date): Promise<void> {
  await sql`
    update delivery_queue q set next_attempt_at = ${at}
    where delivery_id = ${deliveryId} and timed and not ${sql.raw(isInFlight('q'))}`.execute(db);
}
