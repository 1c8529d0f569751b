import { type Kysely, sql } from 'kysely';

/**
 * Requests that came with an `Idempotency-Key`, and what was answered. `id` names one use of the key: it stays where a
 * request that was cut short is begun again, and is new once the key has expired. `claims` tells these beginnings
 * apart. An answer that may hold a secret is sealed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table idempotent_requests (
      tenant_id uuid not null,
      key text not null,
      id uuid not null,
      request_hash bytea not null,
      state text not null default 'running' check (state in ('running', 'done')),
      claims int not null default 1,
      lease_until timestamptz,
      status int,
      answer text,
      sealed boolean not null default true,
      created_at timestamptz not null default now(),
      primary key (tenant_id, key)
    )`.execute(db);
  await sql`create index idempotent_requests_age on idempotent_requests (created_at)`.execute(db);
  // They are forgotten by age as well, each kind after its own time.
  await sql`create index idempotency_keys_age on idempotency_keys (kind, created_at)`.execute(db);
}
