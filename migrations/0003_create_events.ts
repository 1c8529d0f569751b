import { type Kysely, sql } from 'kysely';

/**
 * Events, deliveries and attempts are partitioned by week of their id's time and have no foreign keys between them,
 * so that a week is dropped whole. A delivery's id copies the time bits of its event's, so they share a week.
 * Weeks are made by src/db/partitions.ts, not here: there is deliberately no DEFAULT partition.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table events (
      id uuid primary key,
      tenant_id uuid not null,
      type text not null,
      body bytea not null,
      created_at timestamptz not null default now()
    ) partition by range (id)`.execute(db);
  // Cheaper than the default by far, but not every build of Postgres has it.
  await sql`
    do $$ begin
      alter table events alter column body set compression lz4;
    exception when feature_not_supported then null;
    end $$`.execute(db);
  await sql`create index events_tenant on events (tenant_id, id)`.execute(db);
  await sql`
    create table deliveries (
      id uuid primary key,
      tenant_id uuid not null,
      event_id uuid not null,
      webhook_id uuid not null,
      event_type text not null,
      state text not null default 'pending',
      attempt_count int not null default 0,
      failed_because text,
      failed_at timestamptz,
      ended_at timestamptz
    ) partition by range (id)`.execute(db);
  await sql`create index deliveries_tenant on deliveries (tenant_id, id)`.execute(db);
  await sql`create index deliveries_webhook on deliveries (webhook_id, id)`.execute(db);
  await sql`create index deliveries_event on deliveries (event_id)`.execute(db);
  await sql`create index deliveries_dead on deliveries (tenant_id, id) where failed_at is not null`.execute(db);
  await sql`
    create table attempts (
      delivery_id uuid,
      number int,
      id uuid not null,
      tenant_id uuid not null,
      webhook_id uuid not null,
      trigger text not null,
      started_at timestamptz not null,
      duration_ms int not null,
      outcome text not null,
      status_code int,
      error_code text,
      error_message text,
      request_headers jsonb not null,
      response_headers jsonb,
      response_body bytea,
      remote_address text,
      primary key (delivery_id, number)
    ) partition by range (delivery_id)`.execute(db);
  await sql`
    create table idempotency_keys (
      tenant_id uuid not null,
      kind text not null,
      key text not null,
      event_id uuid not null,
      created_at timestamptz not null default now(),
      primary key (tenant_id, kind, key)
    )`.execute(db);
}
