import { type Kysely, sql } from 'kysely';

/**
 * What happened to deliveries and webhooks and is still to be published as a `posthorn.*` event. Written by the
 * statement that made it happen, emptied by the worker that turns it into events.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table operational_outbox (
      id uuid primary key default gen_random_uuid(),
      tenant_id uuid not null,
      type text not null,
      webhook_id uuid not null,
      delivery_id uuid,
      details jsonb not null default '{}',
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index operational_outbox_age on operational_outbox (created_at)`.execute(db);
}
