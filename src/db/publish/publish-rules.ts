import { sql } from 'kysely';
import type { Pool } from 'pg';
import type { OnUnknown } from '../../domain/event-types';
import type { Filtered } from '../../domain/filter-set';
import type { Tx } from '../database';

/** What a publish must know of its tenant. */
export type TenantRules = {
  unknownEventTypes: OnUnknown;
  unknownEventVersions: OnUnknown;
  /** Of the webhooks with a filter, and their versions: where it is the same, nothing of them has changed. */
  filterVersions: string | null;
};

/** What a publish must know of its event's type; absent version: the type does not have it. */
export type TypeRules = { keyFields: string[]; version?: { id: string; hasSchema: boolean } };
export type TypeAndVersion = { type: string; version: string };

const TENANT = {
  name: 'publish-rules',
  text: `
select t.unknown_event_types as types, t.unknown_event_versions as versions,
  (select string_agg(w.id || ' ' || w.version, ' ' order by w.id) from webhooks w
   where w.tenant_id = $1 and w.filter is not null and w.deleted_at is null) as filters
from tenants t where t.id = $1`,
};

const FILTERS = {
  name: 'publish-rules-filters',
  text: `
select w.id as "webhookId", w.patterns, w.filter from webhooks w
where w.tenant_id = $1 and w.filter is not null and w.deleted_at is null order by w.id`,
};

const TYPES = {
  name: 'publish-rules-types',
  text: `
select a.place, t.key_fields, v.id, v.schema is not null as has_schema
from unnest($2::text[], $3::text[]) with ordinality as a (name, version, place)
join event_types t on t.tenant_id = $1 and t.name = a.name
left join event_type_versions v on v.tenant_id = t.tenant_id and v.name = t.name and v.version = a.version`,
};

const SCHEMAS = {
  name: 'publish-rules-schemas',
  text: 'select id, coalesce(schema_text, schema::text) as schema from event_type_versions where tenant_id = $1 and id = any($2::uuid[])',
};

export async function loadTenantRules(pool: Pool, tenantId: string): Promise<TenantRules> {
  type Row = { types: OnUnknown; versions: OnUnknown; filters: string | null };
  const { rows } = await pool.query<Row>({ ...TENANT, values: [tenantId] });
  const row = rows[0];
  if (!row) throw new Error('the tenant vanished between two statements');
  return { unknownEventTypes: row.types, unknownEventVersions: row.versions, filterVersions: row.filters };
}

export async function loadFilters(pool: Pool, tenantId: string): Promise<Filtered[]> {
  const { rows } = await pool.query<Filtered>({ ...FILTERS, values: [tenantId] });
  return rows;
}

/** One statement for all of them; undefined for each that nobody has described. */
export async function loadTypeRules(
  pool: Pool,
  tenantId: string,
  asked: readonly TypeAndVersion[],
): Promise<(TypeRules | undefined)[]> {
  type Row = { place: string; key_fields: string[]; id: string | null; has_schema: boolean };
  const { rows } = await pool.query<Row>({
    ...TYPES,
    values: [tenantId, asked.map(({ type }) => type), asked.map(({ version }) => version)],
  });
  const byPlace = new Map(rows.map((row) => [Number(row.place), row]));
  return asked.map((_, i) => {
    const row = byPlace.get(i + 1);
    return (
      row && {
        keyFields: row.key_fields,
        ...(row.id !== null && { version: { id: row.id, hasSchema: row.has_schema } }),
      }
    );
  });
}

/** The schemas of versions by their ids, as texts. */
export async function loadSchemas(pool: Pool, tenantId: string, ids: string[]): Promise<Map<string, string>> {
  const { rows } = await pool.query<{ id: string; schema: string }>({ ...SCHEMAS, values: [tenantId, ids] });
  return new Map(rows.map(({ id, schema }) => [id, schema]));
}

/**
 * How many webhooks with a filter the tenant has besides this one, and how many bytes of JSON their filters are. Holds off
 * others who add filters or schemas to this tenant until the transaction ends.
 */
export async function sizeOfFilters(
  tx: Tx,
  tenantId: string,
  besides: string,
): Promise<{ count: number; bytes: number }> {
  await sql`select from tenants where id = ${tenantId} for no key update`.execute(tx);
  const { rows } = await sql<{ count: number; bytes: number }>`
    select count(*)::int as count, coalesce(sum(octet_length(filter::text)), 0)::int as bytes from webhooks
    where tenant_id = ${tenantId} and id <> ${besides} and filter is not null and deleted_at is null`.execute(tx);
  return rows[0]!;
}
