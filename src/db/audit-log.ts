import { type Kysely, type Selectable, sql } from 'kysely';
import { newUuid, uuidFloor } from '../domain/ids';
import type { Tables } from './tables';

/** One line of who did what. Never put secrets, bodies or header values into `details`. */
export type AuditEntry = {
  /** Whose log it is in; null: an administrator's doing that is about no tenant. */
  tenantId: string | null;
  /** The id of the API key that asked, or `cli`. */
  actor: string;
  action: string;
  target: string;
  details?: Record<string, unknown>;
};

export async function writeAudit(db: Kysely<Tables>, entry: AuditEntry): Promise<void> {
  await db
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

export type AuditFilter = {
  since: Date;
  until: Date;
  limit: number;
  beforeId?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  actor?: string | undefined;
};

export type AuditLine = Omit<Selectable<Tables['audit_log']>, 'tenant_id'>;

/** A tenant's lines, newest first. `since` is inside the window, `until` is not. */
export async function listAudit(db: Kysely<Tables>, tenantId: string, filter: AuditFilter): Promise<AuditLine[]> {
  let query = db
    .selectFrom('audit_log')
    .select(['id', 'actor', 'action', 'target', 'details', 'created_at'])
    .where('tenant_id', '=', tenantId)
    .where('id', '>=', sql<string>`${uuidFloor(filter.since.getTime())}::uuid`)
    .where('id', '<', sql<string>`${uuidFloor(filter.until.getTime())}::uuid`)
    .orderBy('id', 'desc')
    .limit(filter.limit);
  if (filter.beforeId) query = query.where('id', '<', filter.beforeId);
  for (const column of ['action', 'target', 'actor'] as const) {
    const wanted = filter[column];
    if (wanted !== undefined) query = query.where(column, '=', wanted);
  }
  return query.execute();
}
