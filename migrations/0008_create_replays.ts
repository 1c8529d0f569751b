import { type Kysely, sql } from 'kysely';

/**
 * A bulk replay and how far it has come: `position` is the last delivery id that was looked at. Each page moves it in
 * the transaction that puts the page's deliveries back into the queue, so that no page counts twice.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table replays (
      id uuid primary key,
      tenant_id uuid not null,
      webhook_id uuid,
      filter jsonb not null,
      rate_per_second real not null check (rate_per_second > 0),
      state text not null default 'running' check (state in ('running', 'completed', 'cancelled')),
      total int,
      sent int not null default 0,
      skipped int not null default 0,
      position uuid,
      asked_by uuid,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      ended_at timestamptz
    )`.execute(db);
  await sql`create index replays_tenant on replays (tenant_id, id)`.execute(db);
  await sql`create index replays_running on replays (updated_at) where state = 'running'`.execute(db);
}
