import { type IdKind, toPublicId } from '../domain/ids';

/** One page of a list. `rows` holds one more than `limit` where there is a next page. */
export function page<Row extends { id: string }, Out>(
  kind: IdKind,
  rows: Row[],
  limit: number,
  toOut: (row: Row) => Out,
): { data: Out[]; next_cursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    data: shown.map(toOut),
    next_cursor: rows.length > limit && last ? toPublicId(kind, last.id) : null,
  };
}
