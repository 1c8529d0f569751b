import type { Database } from '../db/database';
import { forgetExpired } from '../db/idempotent-requests';
import type { Log } from '../log';

/** One statement's work: well below a second. */
const PER_BATCH = 1_000;
/** What a round of the reconciler may spend on it: 100,000 rows of each kind. The rest waits for the next one. */
const BATCHES = 100;

/** Removes idempotency keys whose time is over, with the answers that were kept for them. */
export async function forgetExpiredKeys(
  { db, log }: { db: Database; log: Log },
  stopped: () => boolean,
): Promise<void> {
  let total = 0;
  for (let batch = 0, more = true; more && batch < BATCHES && !stopped(); batch++) {
    const done = await forgetExpired(db.pool, PER_BATCH);
    total += done.forgotten;
    more = done.more;
  }
  if (total > 0) log.info({ event: 'forgot_idempotency_keys', count: total });
}
