import { type Kysely, sql } from 'kysely';

/**
 * Event types with a data schema per version, and what depends on them: which webhooks want which version, which part
 * of the data they get, and filters. Schemas are `json`, not `jsonb`: their fields keep the order they were written in.
 *
 * A delivery's `minimal` and its event's `key_fields` are fixed at publish, so that every attempt has the same bytes.
 * `subscriptions` repeats what the publish asks of a webhook; it stands in the key's index, which is all it reads.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table tenants
      add column unknown_event_types text not null default 'accept' check (unknown_event_types in ('accept', 'refuse')),
      add column unknown_event_versions text not null default 'accept'
        check (unknown_event_versions in ('accept', 'refuse'))`.execute(db);
  await sql`
    create table event_types (
      tenant_id uuid not null references tenants (id),
      name text not null,
      description text,
      deprecated boolean not null default false,
      key_fields text[] not null default '{}',
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      primary key (tenant_id, name)
    )`.execute(db);
  await sql`
    create table event_type_versions (
      id uuid primary key,
      tenant_id uuid not null,
      name text not null,
      version text not null,
      schema json,
      example json,
      created_at timestamptz not null default now(),
      unique (tenant_id, name, version),
      foreign key (tenant_id, name) references event_types (tenant_id, name) on delete cascade
    )`.execute(db);
  await sql`
    alter table webhooks
      add column payload text not null default 'full' check (payload in ('full', 'minimal')),
      add column payload_version text,
      add column filter json`.execute(db);
  await sql`
    create index webhooks_filtered on webhooks (tenant_id) where filter is not null and deleted_at is null`.execute(db);
  await sql`
    alter table subscriptions
      add column minimal boolean not null default false,
      add column payload_version text`.execute(db);
  await sql`
    alter table subscriptions
      drop constraint subscriptions_pkey,
      add primary key (tenant_id, pattern, webhook_id) include (minimal, payload_version)`.execute(db);
  await sql`alter table events add column key_fields text[]`.execute(db);
  await sql`alter table deliveries add column minimal boolean not null default false`.execute(db);
}
