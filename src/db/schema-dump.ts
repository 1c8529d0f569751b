import type { Pool } from 'pg';

/** Weekly partitions come and go, and kysely's own tables are not ours. */
const TABLES = `
  select c.oid, c.relname, c.reloptions, pg_get_partkeydef(c.oid) as partition_key
  from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and c.relname not like 'kysely%'
  order by c.relname`;
const COLUMNS = `
  select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required,
    a.attidentity as identity, a.attgenerated as generated, pg_get_expr(d.adbin, d.adrelid) as value
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`;
const CONSTRAINTS = `
  select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
  where conrelid = $1 and contype <> 'n' order by conname`;
const INDEXES = `
  select pg_get_indexdef(i.indexrelid) as definition from pg_index i
  where i.indrelid = $1 and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
  order by 1`;

const FUNCTIONS = `
  select pg_get_functiondef(oid) as definition from pg_proc where pronamespace = 'public'::regnamespace order by proname`;

type Column = { name: string; type: string; required: boolean; identity: string; generated: string; value?: string };

/** The schema as SQL text, the same for the same schema: for a person to read and for a check to compare. */
export async function dumpSchema(pool: Pool): Promise<string> {
  const tables = await pool.query<{
    oid: number;
    relname: string;
    reloptions: string[] | null;
    partition_key: string | null;
  }>(TABLES);
  const parts = ['-- Written by `npm run schema` from the migrations. Do not edit.'];
  for (const { oid, relname, reloptions, partition_key } of tables.rows) {
    const columns = await pool.query<Column>(COLUMNS, [oid]);
    const constraints = await pool.query<{ name: string; definition: string }>(CONSTRAINTS, [oid]);
    const indexes = await pool.query<{ definition: string }>(INDEXES, [oid]);
    const lines = [
      ...columns.rows.map(columnText),
      ...constraints.rows.map((row) => `constraint ${row.name} ${row.definition}`),
    ];
    const partition = partition_key ? ` partition by ${partition_key}` : '';
    const options = reloptions ? ` with (${reloptions.join(', ')})` : '';
    parts.push(`create table ${relname} (\n  ${lines.join(',\n  ')}\n)${partition}${options};`);
    for (const { definition } of indexes.rows) parts.push(`${definition};`);
  }
  const functions = await pool.query<{ definition: string }>(FUNCTIONS);
  for (const { definition } of functions.rows) parts.push(`${definition.trim()};`);
  return `${parts.join('\n\n')}\n`;
}

function columnText({ name, type, required, identity, generated, value }: Column): string {
  const filled = generated ? ` generated always as (${value}) stored` : value ? ` default ${value}` : '';
  const counted = identity ? ' generated always as identity' : '';
  return `${name} ${type}${required ? ' not null' : ''}${counted}${filled}`;
}
