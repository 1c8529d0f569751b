import type { Found, Part } from '../db/scan';
import { type IdKind, toPublicId } from '../domain/ids';

/** Bytes of the items of one page: what is over it is on the next one. A single item is always shown. */
export const MAX_PAGE_BYTES = 1024 * 1024;
/** Rows that are read at once where each may be large; all that a page may have are read at once elsewhere. */
export const FEW_AT_ONCE = 50;

export type Page<Out> = { data: Out[]; next_cursor: string | null };

type Reading<Row, Out> = {
  read: (part: Part) => Promise<Found<Row>>;
  toOut: (row: Row) => Out;
  atOnce?: number;
};

/** One page of a list whose cursors are public ids. It may have fewer items than asked for, also none, and yet a next page. */
export async function readPage<Row extends { id: string }, Out>(
  kind: IdKind,
  asked: { limit: number; cursor?: string | undefined },
  reading: Reading<Row, Out>,
): Promise<Page<Out>> {
  const { items, next } = await fill(asked, reading);
  return { data: items, next_cursor: next === undefined ? null : toPublicId(kind, next) };
}

/** The items of a page, and after which row the next one begins: where the limit is reached, or the bytes, or the list's end. */
export async function fill<Row extends { id: string }, Out>(
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  { read, toOut, atOnce = limit }: Reading<Row, Out>,
): Promise<{ items: Out[]; next: string | undefined }> {
  const items: Out[] = [];
  let bytes = 0;
  let beforeId = cursor;
  for (;;) {
    const wanted = Math.min(atOnce, limit - items.length);
    const found = await read({ limit: wanted, beforeId });
    for (const row of found.rows) {
      const item = toOut(row);
      bytes += Buffer.byteLength(JSON.stringify(item));
      if (items.length > 0 && bytes > MAX_PAGE_BYTES) return { items, next: beforeId };
      items.push(item);
      beforeId = row.id;
    }
    const { next } = found;
    // One look per answer where most of what is looked at is not wanted.
    if (next === undefined || found.rows.length < wanted || items.length === limit) return { items, next };
    beforeId = next;
  }
}
