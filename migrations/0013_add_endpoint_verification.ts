import { type Kysely, sql } from 'kysely';

/**
 * Whether a tenant's endpoints must prove that they want deliveries, and how that went for each webhook.
 *
 * `webhook_gates.unverified` shuts the gate. `verification_round` counts what was asked for: an answer to an earlier
 * round, or to the URL before, changes nothing. `webhook_gates.moves` counts changes of the status; with
 * `webhooks.version` it makes the version that editors see.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table tenants add column endpoint_verification text not null default 'off'
      check (endpoint_verification in ('required', 'optional', 'off'))`.execute(db);
  await sql`
    alter table webhooks
      add column verification_round int not null default 0,
      add column verification_pending_since timestamptz,
      add column verification_method text,
      add column verification_error text,
      add column verified_at timestamptz`.execute(db);
  await sql`
    alter table webhook_gates
      add column unverified boolean not null default false,
      add column moves int not null default 0`.execute(db);
}
