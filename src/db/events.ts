import type { Kysely } from 'kysely';
import { uuidFloor } from '../domain/ids';
import type { Tables } from './tables';

export type StoredEvent = {
  id: string;
  type: string;
  body: Buffer;
  /** Those of its type when it was published. */
  keyFields: string[];
  createdAt: Date;
};

export async function findEvent(db: Kysely<Tables>, tenantId: string, id: string): Promise<StoredEvent | undefined> {
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

export type EventFilter = { type?: string; since: Date; until: Date; beforeId?: string; limit: number };

/** Newest first, without bodies. */
export async function listEvents(db: Kysely<Tables>, tenantId: string, filter: EventFilter) {
  let query = db
    .selectFrom('events')
    .select(['id', 'type', 'created_at'])
    .where('tenant_id', '=', tenantId)
    .where('id', '>=', uuidFloor(filter.since.getTime()))
    .where('id', '<', uuidFloor(filter.until.getTime()))
    .orderBy('id', 'desc')
    .limit(filter.limit);
  if (filter.beforeId) query = query.where('id', '<', filter.beforeId);
  if (filter.type) query = query.where('type', '=', filter.type);
  return query.execute();
}
