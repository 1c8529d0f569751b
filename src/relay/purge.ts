import type { Database } from '../db/database';
import { purgeExpired } from '../db/publish/idempotent-requests';
import { purgeSetAside } from '../db/publish/operational-outbox';
import { purgeLogs, type Retention } from '../db/store/retention';
import { purgeTests } from '../db/store/webhook-tests';
import type { Log } from '../log';

/** One statement's work: well below a second. */
const PER_BATCH = 1_000;
/** The most of one round of the reconciler: 100,000 rows of each kind. The rest waits for the next one. */
const BATCHES = 100;

export type PurgeSettings = { db: Database; log: Log; retention: Retention };

/**
 * Removes idempotency keys whose time is over, with the answers that were kept for them, old logs,
 * tests of webhooks and outbox rows.
 */
export async function purgeOld({ db, log, retention }: PurgeSettings, over: () => boolean): Promise<void> {
  const keys = await inBatches(() => purgeExpired(db.pool, PER_BATCH), over);
  if (keys > 0) log.info({ event: 'purged_idempotency_keys', count: keys });
  const logs = await inBatches(() => purgeLogs(db.kysely, retention, PER_BATCH), over);
  if (logs > 0) log.info({ event: 'purged_expired_rows', count: logs });
  await inBatches(async () => {
    const purged = await purgeTests(db.kysely, PER_BATCH);
    return { purged, more: purged === PER_BATCH };
  }, over);
  await inBatches(async () => {
    const purged = await purgeSetAside(db.pool, PER_BATCH);
    return { purged, more: purged === PER_BATCH };
  }, over);
}

async function inBatches(
  purge: () => Promise<{ purged: number; more: boolean }>,
  over: () => boolean,
): Promise<number> {
  let total = 0;
  for (let batch = 0, more = true; more && batch < BATCHES && !over(); batch++) {
    const done = await purge();
    total += done.purged;
    more = done.more;
  }
  return total;
}
