import { type RawBuilder, sql } from 'kysely';
import type { Queryable } from '../database';

/** A part of a list. `next`: there may be more behind this id; it need not be that of a row that is shown. */
export type Found<Row> = { rows: Row[]; next: string | undefined };

/** The window of a list. `beforeId` is the last id of the part before. */
export type Part = { limit: number; beforeId?: string | undefined };

/** Of a query that was asked for one row more than `limit`. */
export function upTo<Row extends { id: string }>(limit: number, rows: Row[]): Found<Row> {
  const shown = rows.slice(0, limit);
  return { rows: shown, next: rows.length > limit ? shown.at(-1)!.id : undefined };
}

/**
 * Rows that one statement reads if no index serves the filter: some 10 ms, and 20 on a busy machine. A list goes on after
 * them with its cursor.
 */
export const SCAN = 5_000;

export type Scan = {
  /** `select d.id, … from … d where …`: rows that an index yields in the order of their ids, and nothing else. */
  rows: RawBuilder<unknown>;
  /** Which of them are wanted. */
  matches: RawBuilder<unknown>;
  /** Joins that `matches` needs. */
  joins?: RawBuilder<unknown>;
  order?: 'newest first' | 'oldest first';
};

/** The ids of the first `limit` of the rows that match, among the first {@link SCAN}. */
export async function scanIds(
  db: Queryable,
  { rows: wanted, matches, joins = sql``, order = 'newest first' }: Scan,
  limit: number,
): Promise<{ ids: string[]; next: string | undefined }> {
  const [there, back] = order === 'newest first' ? [sql`desc`, sql`asc`] : [sql`asc`, sql`desc`];
  const { rows } = await sql<{ seen: number; last: string | null; ids: string[] }>`
    with d as materialized (${wanted} order by d.id ${there} limit ${SCAN}::int)
    select (select count(*)::int from d) as seen, (select d.id from d order by d.id ${back} limit 1) as last,
      array(select d.id from d ${joins} where ${matches} order by d.id ${there} limit ${limit + 1}::int) as ids`.execute(
    db,
  );
  const { seen, last, ids } = rows[0]!;
  if (ids.length > limit) return { ids: ids.slice(0, limit), next: ids[limit - 1] };
  return { ids, next: seen === SCAN ? (last ?? undefined) : undefined };
}
