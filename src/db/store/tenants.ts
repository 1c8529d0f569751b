import type { Selectable } from 'kysely';
import { newUuid } from '../../domain/ids';
import type { Queryable } from '../database';
import type { Tables } from '../tables';

export type Tenant = { id: string; name: string; createdAt: Date };

/** Undefined if the name is taken. */
export async function insertTenant(db: Queryable, name: string): Promise<Tenant | undefined> {
  const row = await db
    .insertInto('tenants')
    .values({ id: newUuid(), name })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returningAll()
    .executeTakeFirst();
  return row && toTenant(row);
}

export async function findTenant(db: Queryable, by: { id: string } | { name: string }): Promise<Tenant | undefined> {
  const all = db.selectFrom('tenants').selectAll();
  const row = await ('id' in by ? all.where('id', '=', by.id) : all.where('name', '=', by.name)).executeTakeFirst();
  return row && toTenant(row);
}

/** Newest first; `beforeId` is the last id of the page before. */
export async function listTenants(db: Queryable, limit: number, beforeId?: string): Promise<Tenant[]> {
  let query = db.selectFrom('tenants').selectAll().orderBy('id', 'desc').limit(limit);
  if (beforeId) query = query.where('id', '<', beforeId);
  return (await query.execute()).map(toTenant);
}

function toTenant(row: Selectable<Tables['tenants']>): Tenant {
  return { id: row.id, name: row.name, createdAt: row.created_at };
}
