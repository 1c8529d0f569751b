import { type Kysely, sql } from 'kysely';

/**
 * Lanes: 0 high, 1 normal, 2 low. The claim skip-scans the webhooks of each lane. An ordered webhook must know of its
 * rows that wait for a timer, hence their index by `seq`. `cycle_started_at` is when the schedule that runs now began.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table delivery_queue
      add column lane smallint not null default 1 check (lane between 0 and 2),
      add column cycle_started_at timestamptz`.execute(db);
  await sql`create index delivery_queue_lanes on delivery_queue (lane, webhook_id, seq) where not timed`.execute(db);
  await sql`drop index delivery_queue_ready`.execute(db);
  await sql`create index delivery_queue_timed on delivery_queue (webhook_id, seq) where timed`.execute(db);
  await sql`drop index delivery_queue_timed_webhook`.execute(db);
}
