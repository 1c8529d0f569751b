import { type Kysely, sql } from 'kysely';

/**
 * What a gate needs to tell attempts apart: those of the URL that it has from those of an earlier one (`url_changes`), and
 * repetitions of a delivery that was counted already. `failed_since`: the first of its failed deliveries in a row. Of a
 * queue row: when an attempt of it last failed, and when it had failed for good before it was started anew.
 *
 * And tests of webhooks, which stand apart from events, deliveries and attempts, so that nothing counts them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table webhook_gates
      add column url_changes int not null default 0,
      add column failed_since timestamptz`.execute(db);
  await sql`
    alter table delivery_queue
      add column attempt_failed_at timestamptz,
      add column failed_at timestamptz`.execute(db);
  await sql`
    create table webhook_tests (
      id uuid primary key,
      tenant_id uuid not null,
      webhook_id uuid not null,
      event_type text not null,
      body bytea not null,
      outcome text not null default 'pending' check (outcome in ('pending', 'delivered', 'failed')),
      attempt json,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index webhook_tests_tenant on webhook_tests (tenant_id, id)`.execute(db);
  await sql`create index webhook_tests_webhook on webhook_tests (webhook_id, id)`.execute(db);
}
