import type { Pool } from 'pg';
import type { JsonObject } from '../domain/event-types';
import type { Filter } from '../domain/filter';
import type { TenantSettings } from './tenant-settings';

/** What a publish must know of its tenant. */
export type TenantRules = Pick<TenantSettings, 'unknownEventTypes' | 'unknownEventVersions'> & {
  filtered: { webhookId: string; patterns: string[]; filter: Filter }[];
};

/** What a publish must know of its event's type; absent version: the type does not have it. */
export type TypeRules = { keyFields: string[]; version?: { id: string; schema: JsonObject | null } };

const TENANT = {
  name: 'publish-rules',
  text: `
select t.unknown_event_types as types, t.unknown_event_versions as versions,
  (select json_agg(json_build_object('webhookId', w.id, 'patterns', w.patterns, 'filter', w.filter)) from webhooks w
   where w.tenant_id = $1 and w.filter is not null and w.deleted_at is null) as filtered
from tenants t where t.id = $1`,
};

const TYPE = {
  name: 'publish-rules-type',
  text: `
select t.key_fields, v.id, v.schema from event_types t
left join event_type_versions v on v.tenant_id = t.tenant_id and v.name = t.name and v.version = $3
where t.tenant_id = $1 and t.name = $2`,
};

export async function loadTenantRules(pool: Pool, tenantId: string): Promise<TenantRules> {
  type Row = { types: 'accept'; versions: 'accept'; filtered: TenantRules['filtered'] | null };
  const { rows } = await pool.query<Row>({ ...TENANT, values: [tenantId] });
  const row = rows[0];
  if (!row) throw new Error('the tenant vanished between two statements');
  return { unknownEventTypes: row.types, unknownEventVersions: row.versions, filtered: row.filtered ?? [] };
}

/** Undefined where nobody has described this type. */
export async function loadTypeRules(
  pool: Pool,
  tenantId: string,
  type: string,
  version: string,
): Promise<TypeRules | undefined> {
  type Row = { key_fields: string[]; id: string | null; schema: JsonObject | null };
  const { rows } = await pool.query<Row>({ ...TYPE, values: [tenantId, type, version] });
  const row = rows[0];
  return row && { keyFields: row.key_fields, ...(row.id !== null && { version: { id: row.id, schema: row.schema } }) };
}

/** How many webhooks with a filter the tenant has besides this one. */
export async function countFiltered(pool: Pick<Pool, 'query'>, tenantId: string, besides: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from webhooks
     where tenant_id = $1 and id <> $2 and filter is not null and deleted_at is null`,
    [tenantId, besides],
  );
  return rows[0]!.count;
}
