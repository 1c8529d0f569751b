import { type Kysely, sql } from 'kysely';

/**
 * Keys of tenants and keys of administrators, which belong to no tenant. What administrators do is in the audit log of
 * the tenant that it is about; where it is about none, the line has no tenant.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table api_keys
      add column kind text not null default 'tenant' check (kind in ('tenant', 'admin')),
      add column name text,
      add column created_by text,
      add column last_used_at timestamptz,
      alter column tenant_id drop not null,
      add constraint api_keys_owner check ((kind = 'tenant') = (tenant_id is not null)),
      add constraint api_keys_scopes check (
        case kind when 'admin' then scopes = '{admin}' else not 'admin' = any(scopes) end)`.execute(db);
  await sql`create index api_keys_tenant on api_keys (tenant_id, id)`.execute(db);
  await sql`alter table audit_log alter column tenant_id drop not null`.execute(db);
}
