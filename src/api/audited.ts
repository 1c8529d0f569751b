import { writeAudit } from '../db/audit-log';
import type { Tx } from '../db/database';
import { toPublicId } from '../domain/ids';
import type { Context } from './route';

/** A change and its line in the audit log, both or neither; no line where nothing was changed. */
export function audited<T>(
  { services, tenantId, actor }: Context<unknown, unknown>,
  action: string,
  webhookId: string,
  change: (tx: Tx) => Promise<T>,
  details?: Record<string, unknown>,
): Promise<T> {
  return services.db.kysely.transaction().execute(async (tx) => {
    const changed = await change(tx);
    const entry = { tenantId, actor, action, target: toPublicId('webhook', webhookId), ...(details && { details }) };
    if (changed) await writeAudit(tx, entry);
    return changed;
  });
}
