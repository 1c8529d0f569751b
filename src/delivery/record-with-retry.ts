import { setTimeout as sleep } from 'node:timers/promises';
import type { AttemptRecord } from '../db/queue/record-attempts';
import type { WriteAttempt, Written } from './attempt-writer';

const RETRY_MS = 200;
/** A process that stops tries this often more, then leaves the delivery to others. */
const LAST_TRIES = 10;

/**
 * Writes a made attempt down, however long the database is away: a POST is not made again because Postgres failed.
 * Undefined where the process stopped first.
 */
export async function recordWithRetry(
  write: WriteAttempt,
  record: AttemptRecord,
  stopping: () => boolean,
): Promise<Written | undefined> {
  for (let left = LAST_TRIES; left > 0; left -= stopping() ? 1 : 0) {
    try {
      return await write(record);
    } catch {
      await sleep(RETRY_MS);
    }
  }
  return undefined;
}
