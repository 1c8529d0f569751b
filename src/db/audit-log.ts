import type { Kysely } from 'kysely';
import { newUuid } from '../domain/ids';
import type { Tables } from './tables';

/** One line of who did what. Never put secrets, bodies or header values into `details`. */
export type AuditEntry = {
  tenantId: string;
  /** The id of the API key that asked. */
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
