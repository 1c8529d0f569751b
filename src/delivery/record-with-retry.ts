import { setTimeout as sleep } from 'node:timers/promises';
import type { AttemptRecord } from '../db/queue/record-attempts';
import type { WriteAttempt, Written } from './attempt-writer';

const RETRY_MS = 200;
/** A process that stops tries this many times more, then leaves the delivery to others. */
const LAST_TRIES = 10;

/**
 * Records a completed POST, retrying for as long as writes fail: a POST is not made again because Postgres failed.
 * Undefined if the process stopped first.
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
