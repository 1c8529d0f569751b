import { type Kysely, sql } from 'kysely';

/**
 * One word for one thing: a row of the queue has a priority, a delivery the path that made its last attempt, and a webhook
 * the mode that says which path that is.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table delivery_queue rename column lane to priority`.execute(db);
  await sql`alter table delivery_queue rename constraint delivery_queue_lane_check to delivery_queue_priority_check`.execute(
    db,
  );
  await sql`alter table deliveries rename column lane to path`.execute(db);
  await sql`alter table webhook_gates rename column first_attempt to mode`.execute(db);
  await sql`alter table webhook_gates rename constraint webhook_gates_first_attempt_check to webhook_gates_mode_check`.execute(
    db,
  );
}
