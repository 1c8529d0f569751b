import { sql } from 'kysely';
import type { JsonObject } from '../../domain/event-types';
import { newUuid } from '../../domain/ids';
import type { Queryable, Tx } from '../database';

export type EventTypeSettings = { description: string | null; deprecated: boolean; keyFields: string[] };
export type EventType = EventTypeSettings & { name: string; createdAt: Date; updatedAt: Date };
export type NewVersion = {
  version: string;
  schema: JsonObject | null;
  example: JsonObject | null;
  /** As they were written, without white space: `schema` and `example` have rounded numbers. */
  schemaText: string | null;
  exampleText: string | null;
};
export type EventTypeVersion = NewVersion & { createdAt: Date };

export async function findEventType(db: Queryable, tenantId: string, name: string): Promise<EventType | undefined> {
  const row = await selectTypes(db, tenantId).where('name', '=', name).executeTakeFirst();
  return row && toEventType(row);
}

/** By name; `afterName` is the last of the page before. */
export async function listEventTypes(
  db: Queryable,
  tenantId: string,
  limit: number,
  afterName?: string,
): Promise<EventType[]> {
  let query = selectTypes(db, tenantId).orderBy('name').limit(limit);
  if (afterName !== undefined) query = query.where('name', '>', afterName);
  return (await query.execute()).map(toEventType);
}

/** Holds off others who add types to this tenant until the transaction ends, and counts those it has. */
export async function countEventTypes(tx: Tx, tenantId: string): Promise<number> {
  await sql`select from tenants where id = ${tenantId} for no key update`.execute(tx);
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from event_types where tenant_id = ${tenantId}`.execute(tx);
  return rows[0]!.count;
}

/** False if the tenant has a type of this name. */
export async function insertEventType(
  tx: Tx,
  tenantId: string,
  name: string,
  { description, deprecated, keyFields }: EventTypeSettings,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('event_types')
    .values({ tenant_id: tenantId, name, description, deprecated, key_fields: keyFields })
    .onConflict((c) => c.doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

/** Changes the given settings; the rest stays. False if there is no such type. */
export async function updateEventType(
  tx: Tx,
  tenantId: string,
  name: string,
  { description, deprecated, keyFields }: Partial<EventTypeSettings>,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('event_types')
    .set({
      ...(description !== undefined && { description }),
      ...(deprecated !== undefined && { deprecated }),
      ...(keyFields && { key_fields: keyFields }),
      updated_at: new Date(),
    })
    .where('tenant_id', '=', tenantId)
    .where('name', '=', name)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** With its versions. False if there is no such type. */
export async function deleteEventType(tx: Tx, tenantId: string, name: string): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('event_types')
    .where('tenant_id', '=', tenantId)
    .where('name', '=', name)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}

/**
 * What an event of this type looks like: the key fields, and the newest example among its versions, or that of one version,
 * as text. Undefined: there is no such type.
 */
export async function findExample(
  db: Queryable,
  tenantId: string,
  name: string,
  version: string | null,
): Promise<{ keyFields: string[]; example: { version: string; data: string } | undefined } | undefined> {
  const { rows } = await sql<{ keyFields: string[]; version: string | null; data: string | null }>`
    select t.key_fields as "keyFields", v.version, coalesce(v.example_text, v.example::text) as data
    from event_types t left join lateral (
      select version, example, example_text from event_type_versions
      where tenant_id = t.tenant_id and name = t.name and example is not null
        and (${version}::text is null or version = ${version})
      order by id desc limit 1) v on true
    where t.tenant_id = ${tenantId} and t.name = ${name}`.execute(db);
  const [row] = rows;
  if (!row) return undefined;
  const { keyFields, version: found, data } = row;
  return { keyFields, example: found !== null && data !== null ? { version: found, data } : undefined };
}

/** What is stored of a schema and an example, as it is counted. */
const SCHEMA = sql.raw('coalesce(schema_text, schema::text)');
const EXAMPLE = sql.raw('coalesce(example_text, example::text)');

/** Oldest first. They are few: the number per type is bounded when they are made. */
export async function listVersions(db: Queryable, tenantId: string, name: string): Promise<EventTypeVersion[]> {
  const rows = await db
    .selectFrom('event_type_versions')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('name', '=', name)
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    version: row.version,
    schema: row.schema,
    example: row.example,
    schemaText: row.schema_text ?? (row.schema && JSON.stringify(row.schema)),
    exampleText: row.example_text ?? (row.example && JSON.stringify(row.example)),
    createdAt: row.created_at,
  }));
}

/**
 * Holds off others who add versions to this type until the transaction ends. `bytes` of schemas and examples together.
 * Undefined: there is no such type.
 */
export async function measureVersions(
  tx: Tx,
  tenantId: string,
  name: string,
): Promise<{ count: number; bytes: number } | undefined> {
  const { rows } = await sql<{ count: number; bytes: number }>`
    select v.* from event_types t cross join lateral (
      select count(*)::int as count,
        coalesce(sum(coalesce(octet_length(${SCHEMA}), 0) + coalesce(octet_length(${EXAMPLE}), 0)), 0)::int as bytes
      from event_type_versions v where v.tenant_id = t.tenant_id and v.name = t.name) v
    where t.tenant_id = ${tenantId} and t.name = ${name} for no key update of t`.execute(tx);
  return rows[0];
}

/**
 * How many bytes of JSON the tenant's schemas and examples are. Holds off others who add to them until the transaction
 * ends.
 */
export async function bytesOfVersions(tx: Tx, tenantId: string): Promise<number> {
  await sql`select from tenants where id = ${tenantId} for no key update`.execute(tx);
  const { rows } = await sql<{ bytes: string }>`
    select coalesce(sum(octet_length(${SCHEMA})), 0) + coalesce(sum(octet_length(${EXAMPLE})), 0) as bytes
    from event_type_versions where tenant_id = ${tenantId}`.execute(tx);
  return Number(rows[0]!.bytes);
}

/** False if the type has this version: a version never changes. */
export async function insertVersion(tx: Tx, tenantId: string, name: string, added: NewVersion): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('event_type_versions')
    .values({
      id: newUuid(),
      tenant_id: tenantId,
      name,
      version: added.version,
      schema: added.schema && JSON.stringify(added.schema),
      example: added.example && JSON.stringify(added.example),
      schema_text: added.schemaText,
      example_text: added.exampleText,
    })
    .onConflict((c) => c.doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows === 1n;
}

function selectTypes(db: Queryable, tenantId: string) {
  return db.selectFrom('event_types').selectAll().where('tenant_id', '=', tenantId);
}

type Row = Awaited<ReturnType<ReturnType<typeof selectTypes>['execute']>>[number];

function toEventType(row: Row): EventType {
  return {
    name: row.name,
    description: row.description,
    deprecated: row.deprecated,
    keyFields: row.key_fields,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
