import type { Database } from '../db/database';
import { WORK_CHANNEL } from '../domain/names';

/** NOTIFY takes a lock that serialises commits, so it stays out of the publish and is sent this often at most. */
const DEBOUNCE_MS = 10;

/**
 * Returns a function that tells the relays of new work: at once after a pause, then at most every 10 ms. A lost
 * notification costs one poll interval.
 */
export function createNotifier({ pool }: Database): () => void {
  let last = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  const notify = () => {
    timer = undefined;
    last = performance.now();
    pool.query({ name: 'notify', text: `select pg_notify('${WORK_CHANNEL}', '')` }).catch(() => undefined);
  };
  return () => {
    if (timer) return;
    const waitMs = last + DEBOUNCE_MS - performance.now();
    if (waitMs <= 0) notify();
    else timer = setTimeout(notify, waitMs);
  };
}
