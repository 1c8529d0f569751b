import { type Kysely, sql } from 'kysely';

/** Tenants own everything; an API key names its tenant and is stored as a SHA-256 only. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table tenants (
      id uuid primary key,
      name text not null unique,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create table api_keys (
      id uuid primary key,
      tenant_id uuid not null references tenants (id),
      key_hash bytea not null unique,
      scopes text[] not null,
      expires_at timestamptz,
      revoked_at timestamptz,
      created_at timestamptz not null default now()
    )`.execute(db);
}
