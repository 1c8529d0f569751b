import { sql } from 'kysely';
import { uuidFloor } from '../../domain/ids';
import type { Queryable } from '../database';
import { type Found, type Part, scanIds, upTo } from './scan';

export type StoredEvent = {
  id: string;
  type: string;
  body: Buffer;
  /** Those of its type when it was published. */
  keyFields: string[];
  createdAt: Date;
};

export async function findEvent(db: Queryable, tenantId: string, id: string): Promise<StoredEvent | undefined> {
  const row = await db
    .selectFrom('events')
    .selectAll()
    .where('id', '=', id)
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst();
  return (
    row && { id: row.id, type: row.type, body: row.body, keyFields: row.key_fields ?? [], createdAt: row.created_at }
  );
}

export type EventFilter = Part & { type?: string | undefined; since: Date; until: Date };
export type ListedEvent = Pick<StoredEvent, 'id' | 'type' | 'createdAt'>;

/** Newest first, without bodies. */
export async function listEvents(
  db: Queryable,
  tenantId: string,
  { type, since, until, limit, beforeId }: EventFilter,
): Promise<Found<ListedEvent>> {
  const from = uuidFloor(since.getTime());
  const to = uuidFloor(until.getTime());
  const query = db
    .selectFrom('events')
    .select(['id', 'type', 'created_at as createdAt'])
    .where('tenant_id', '=', tenantId)
    .orderBy('id', 'desc');
  if (type === undefined) {
    const before = beforeId ? query.where('id', '<', beforeId) : query;
    const rows = before.where('id', '>=', from).where('id', '<', to);
    return upTo(limit, await rows.limit(limit + 1).execute());
  }
  const before = beforeId ? sql`and d.id < ${beforeId}` : sql``;
  const rows = sql`
    select d.id, d.type from events d
    where d.tenant_id = ${tenantId} and d.id >= ${from} and d.id < ${to} ${before}`;
  const { ids, next } = await scanIds(db, { rows, matches: sql`d.type = ${type}` }, limit);
  if (ids.length === 0) return { rows: [], next };
  const shown = query.where('id', 'in', ids).where('id', '>=', ids.at(-1)!).where('id', '<=', ids[0]!);
  return { rows: await shown.execute(), next };
}
