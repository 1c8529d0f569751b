import { forgetAuditLines } from '../db/audit-log';
import type { Database } from '../db/database';
import { forgetExpired } from '../db/idempotent-requests';
import { forgetReplays } from '../db/replays';
import type { Log } from '../log';

export type ForgetSettings = {
  db: Database;
  log: Log;
  /** How long lines of the audit log are kept, milliseconds. */
  auditLogKeptForMs: number;
  /** How long bulk replays are kept after their end, milliseconds. */
  replaysKeptForMs: number;
};

/** One statement's work: well below a second. */
const PER_BATCH = 1_000;
/** What a round of the reconciler may spend on it: 100,000 rows of each kind. The rest waits for the next one. */
const BATCHES = 100;

/**
 * Removes what has been kept for long enough: idempotency keys with the answers that were kept for them, lines of the
 * audit log, and bulk replays that have ended.
 */
export async function forgetWhatExpired(settings: ForgetSettings, stopped: () => boolean): Promise<void> {
  const { db, log } = settings;
  const auditLogUntil = new Date(Date.now() - settings.auditLogKeptForMs);
  const replaysUntil = new Date(Date.now() - settings.replaysKeptForMs);
  const whole = (forgotten: number): Batch => ({ forgotten, more: forgotten === PER_BATCH });
  const kinds: [event: string, forget: () => Promise<Batch>][] = [
    ['forgot_idempotency_keys', () => forgetExpired(db.pool, PER_BATCH)],
    ['forgot_audit_lines', async () => whole(await forgetAuditLines(db.kysely, auditLogUntil, PER_BATCH))],
    ['forgot_replays', async () => whole(await forgetReplays(db.kysely, replaysUntil, PER_BATCH))],
  ];
  for (const [event, forget] of kinds) {
    const count = await inBatches(forget, stopped);
    if (count > 0) log.info({ event, count });
  }
}

/** `more`: there may be more. */
type Batch = { forgotten: number; more: boolean };

async function inBatches(forget: () => Promise<Batch>, stopped: () => boolean): Promise<number> {
  let total = 0;
  for (let batch = 0, more = true; more && batch < BATCHES && !stopped(); batch++) {
    const done = await forget();
    total += done.forgotten;
    more = done.more;
  }
  return total;
}
