import { type Kysely, sql } from 'kysely';

/**
 * One small row per delivery that has not ended: the work still to do. Never partitioned; the lease is in no index,
 * so that a claim is a heap-only update. `attempt` counts all attempts made, `step` those of the retry schedule;
 * `asked_by` is the API key behind a `manual` trigger.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table delivery_queue (
      delivery_id uuid primary key,
      tenant_id uuid not null,
      event_id uuid not null,
      webhook_id uuid not null,
      event_type text not null,
      seq bigint generated always as identity,
      timed boolean not null default false,
      lease_until timestamptz not null default 'epoch',
      next_attempt_at timestamptz,
      attempt int not null default 0,
      step int not null default 0,
      trigger text not null default 'schedule',
      asked_by uuid
    ) with (
      fillfactor = 50,
      autovacuum_vacuum_scale_factor = 0,
      autovacuum_vacuum_threshold = 5000,
      autovacuum_vacuum_insert_scale_factor = 0,
      autovacuum_vacuum_cost_delay = 0
    )`.execute(db);
  await sql`create index delivery_queue_ready on delivery_queue (webhook_id, seq) where not timed`.execute(db);
  await sql`create index delivery_queue_due on delivery_queue (next_attempt_at) where timed`.execute(db);
  await sql`create index delivery_queue_timed_webhook on delivery_queue (webhook_id) where timed`.execute(db);
}
