import { type Selectable, sql } from 'kysely';
import { newUuid, uuidFloor } from '../../domain/ids';
import type { Queryable, Tx } from '../database';
import type { Tables } from '../tables';
import { type Found, type Part, scanIds, upTo } from './scan';

/** One entry of the audit log: who did what. Never put secrets, bodies or header values into `details`. */
export type AuditEntry = {
  /** Whose log it is in; null: an administrator's doing that is about no tenant. */
  tenantId: string | null;
  /** The id of the API key that asked, or `cli`. */
  actor: string;
  action: string;
  target: string;
  details?: Record<string, unknown>;
};

/** In the transaction of the change that it tells of: both or neither. */
export async function writeAudit(tx: Tx, entry: AuditEntry): Promise<void> {
  await tx
    .insertInto('audit_log')
    .values({
      id: newUuid(),
      tenant_id: entry.tenantId,
      actor: entry.actor,
      action: entry.action,
      target: entry.target,
      details: JSON.stringify(entry.details ?? {}),
    })
    .execute();
}

export type AuditFilter = Part & {
  since: Date;
  until: Date;
  action?: string | undefined;
  target?: string | undefined;
  actor?: string | undefined;
};

export type AuditLine = Omit<Selectable<Tables['audit_log']>, 'tenant_id'>;

/** A tenant's entries, newest first. `since` is inside the window, `until` is not. */
export async function listAudit(db: Queryable, tenantId: string, filter: AuditFilter): Promise<Found<AuditLine>> {
  const { limit, beforeId } = filter;
  const from = uuidFloor(filter.since.getTime());
  const to = uuidFloor(filter.until.getTime());
  const query = db
    .selectFrom('audit_log')
    .select(['id', 'actor', 'action', 'target', 'details', 'created_at'])
    .where('tenant_id', '=', tenantId)
    .orderBy('id', 'desc');
  const wanted = (['action', 'target', 'actor'] as const).flatMap((column) =>
    filter[column] === undefined ? [] : sql`d.${sql.ref(column)} = ${filter[column]}`,
  );
  if (wanted.length === 0) {
    const before = beforeId ? query.where('id', '<', beforeId) : query;
    const rows = before.where('id', '>=', from).where('id', '<', to);
    return upTo(limit, await rows.limit(limit + 1).execute());
  }
  const before = beforeId ? sql`and d.id < ${beforeId}` : sql``;
  const rows = sql`
    select d.id, d.action, d.target, d.actor from audit_log d
    where d.tenant_id = ${tenantId} and d.id >= ${from} and d.id < ${to} ${before}`;
  const { ids, next } = await scanIds(db, { rows, matches: sql.join(wanted, sql` and `) }, limit);
  if (ids.length === 0) return { rows: [], next };
  return { rows: await query.where('id', 'in', ids).execute(), next };
}
