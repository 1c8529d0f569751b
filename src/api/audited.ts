import type { Tx } from '../db/database';
import { writeAudit } from '../db/store/audit-log';
import type { Context } from './route';

/** Commits a change and its line in the audit log, both or neither. No line is written if nothing was changed. */
export function audited<T>(
  { services, tenantId, actor }: Pick<Context<unknown, unknown>, 'services' | 'tenantId' | 'actor'>,
  action: string,
  /** A public id, or what the change is about. */
  target: string,
  change: (tx: Tx) => Promise<T>,
  details?: (changed: T) => Record<string, unknown>,
): Promise<T> {
  return services.db.kysely.transaction().execute(async (tx) => {
    const changed = await change(tx);
    if (changed) {
      await writeAudit(tx, { tenantId, actor, action, target, ...(details && { details: details(changed) }) });
    }
    return changed;
  });
}
