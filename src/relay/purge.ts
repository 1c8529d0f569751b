import type { Database } from '../db/database';
import { forgetExpired } from '../db/publish/idempotent-requests';
import { forgetSetAside } from '../db/publish/operational-outbox';
import { type KeptFor, trimLogs } from '../db/store/retention';
import type { Log } from '../log';

/** One statement's work: well below a second. */
const PER_BATCH = 1_000;
/** What a round of the reconciler may spend on it: 100,000 rows of each kind. The rest waits for the next one. */
const BATCHES = 100;

export type ForgetSettings = { db: Database; log: Log; keptFor: KeptFor };

/** Removes idempotency keys whose time is over, with the answers that were kept for them, old logs and outbox rows. */
export async function forgetOld({ db, log, keptFor }: ForgetSettings, stopped: () => boolean): Promise<void> {
  const keys = await inBatches(() => forgetExpired(db.pool, PER_BATCH), stopped);
  if (keys > 0) log.info({ event: 'purged_idempotency_keys', count: keys });
  const logs = await inBatches(() => trimLogs(db.kysely, keptFor, PER_BATCH), stopped);
  if (logs > 0) log.info({ event: 'purged_expired_rows', count: logs });
  await inBatches(async () => {
    const forgotten = await forgetSetAside(db.pool, PER_BATCH);
    return { forgotten, more: forgotten === PER_BATCH };
  }, stopped);
}

async function inBatches(
  forget: () => Promise<{ forgotten: number; more: boolean }>,
  stopped: () => boolean,
): Promise<number> {
  let total = 0;
  for (let batch = 0, more = true; more && batch < BATCHES && !stopped(); batch++) {
    const done = await forget();
    total += done.forgotten;
    more = done.more;
  }
  return total;
}
