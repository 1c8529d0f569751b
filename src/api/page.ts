import type { Found, Part } from '../db/store/scan';
import { type IdKind, toPublicId } from '../domain/ids';
import type { Steps } from '../domain/work-budget';
import { JsonText } from './http/json-text';
import type { AdminContext } from './route';

/** The most bytes of items on one page; further items are on the next one. A page with one item may be larger. */
export const MAX_PAGE_BYTES = 1024 * 1024;
/** Rows per statement if a row may be large. Otherwise one statement reads all rows of a page. */
export const FEW_AT_ONCE = 50;

type Reading<Row, Out> = {
  read: (part: Part) => Promise<Found<Row>>;
  toOut: (row: Row) => Out;
  atOnce?: number;
};

type InSlices = AdminContext<unknown, unknown>['inSlices'];

/** One page of a list whose cursors are public ids. It may have fewer items than `limit`, even none, and still a next page. */
export async function readPage<Row extends { id: string }, Out>(
  kind: IdKind,
  asked: { limit: number; cursor?: string | undefined },
  reading: Reading<Row, Out>,
  inSlices: InSlices,
): Promise<JsonText> {
  const { items, next } = await fill(asked, reading, inSlices);
  return toPage(items, next === undefined ? null : toPublicId(kind, next));
}

export const toPage = (items: readonly string[], nextCursor: string | null): JsonText =>
  JsonText.object({ data: JsonText.list(items), next_cursor: nextCursor });

/**
 * The items of a page as JSON, and the row after which the next page begins; undefined at the end of the list. A page ends
 * at the limit of items or of bytes.
 */
export async function fill<Row extends { id: string }, Out>(
  { limit, cursor }: { limit: number; cursor?: string | undefined },
  { read, toOut, atOnce = limit }: Reading<Row, Out>,
  inSlices: InSlices,
): Promise<{ items: string[]; next: string | undefined }> {
  const items: string[] = [];
  let bytes = 0;
  let beforeId = cursor;
  for (;;) {
    const wanted = Math.min(atOnce, limit - items.length);
    const found = await read({ limit: wanted, beforeId });
    if (await inSlices(add(found.rows))) return { items, next: beforeId };
    const { next } = found;
    // If a statement found few matching rows, its answer is sent as it is: one statement per request.
    if (next === undefined || found.rows.length < wanted || items.length === limit) return { items, next };
    beforeId = next;
  }

  /** Adds rows; true if the page is full before the last of them. */
  function* add(rows: readonly Row[]): Steps<boolean> {
    for (const row of rows) {
      const item = JSON.stringify(toOut(row));
      bytes += Buffer.byteLength(item);
      if (items.length > 0 && bytes > MAX_PAGE_BYTES) return true;
      items.push(item);
      beforeId = row.id;
      yield;
    }
    return false;
  }
}
