import { type Kysely, sql } from 'kysely';

/** Who asked for what: one row per management action and per signal. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table audit_log (
      id uuid primary key,
      tenant_id uuid not null,
      actor text not null,
      action text not null,
      target text not null,
      details jsonb not null default '{}',
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index audit_log_tenant on audit_log (tenant_id, id)`.execute(db);
}
