import { type Kysely, sql } from 'kysely';

/**
 * `webhooks` is what an operator configures and rarely changes; `webhook_gates` is the state that the claim reads
 * and writes, kept apart and narrow so that hot updates stay on their page.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table webhooks (
      id uuid primary key,
      tenant_id uuid not null references tenants (id),
      url text not null,
      host text not null,
      patterns text[] not null,
      description text,
      metadata jsonb not null default '{}',
      retry_policy jsonb not null,
      timeout_ms int not null check (timeout_ms between 1000 and 30000),
      version int not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      deleted_at timestamptz,
      cleared_at timestamptz
    )`.execute(db);
  await sql`create index webhooks_tenant on webhooks (tenant_id, id) where deleted_at is null`.execute(db);
  await sql`create index webhooks_uncleared on webhooks (deleted_at) where deleted_at is not null and cleared_at is null`.execute(
    db,
  );
  await sql`
    create table webhook_secrets (
      id uuid primary key,
      webhook_id uuid not null references webhooks (id),
      sealed text not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz
    )`.execute(db);
  await sql`create index webhook_secrets_webhook on webhook_secrets (webhook_id)`.execute(db);
  await sql`
    create table webhook_gates (
      webhook_id uuid primary key,
      status text not null default 'active' check (status in ('active', 'paused', 'disabled')),
      blocked_until timestamptz not null default 'epoch',
      max_in_flight int not null default 20,
      ordered boolean not null default false,
      rate_per_second real check (rate_per_second > 0),
      burst int not null default 1,
      tat timestamptz not null default 'epoch',
      fifo_delivery_id uuid,
      fifo_until timestamptz not null default 'epoch',
      serial boolean generated always as (ordered or rate_per_second is not null) stored
    ) with (fillfactor = 50)`.execute(db);
  await sql`
    create table subscriptions (
      tenant_id uuid not null,
      pattern text not null,
      webhook_id uuid not null,
      primary key (tenant_id, pattern, webhook_id)
    )`.execute(db);
}
