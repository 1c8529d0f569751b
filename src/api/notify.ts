import type { Database } from '../db/database';
import { WORK_CHANNEL } from '../domain/names';

/** NOTIFY takes a lock that serialises commits, so it stays out of the publish and is sent this often at most. */
const DEBOUNCE_MS = 10;
/** A notification that told of no more than this came from a quiet time: the next one need not wait for others. */
const FEW = 2;

/**
 * Returns a function that tells the relays of new work: at once while little is published, at most every 10 ms
 * otherwise. A lost notification costs one poll interval.
 */
export function createNotifier({ pool }: Database): () => void {
  let last = Number.NEGATIVE_INFINITY;
  let told = 0;
  let waiting = 0;
  let pending = false;
  const notify = () => {
    pending = false;
    last = performance.now();
    told = waiting;
    waiting = 0;
    pool.query({ name: 'notify', text: `select pg_notify('${WORK_CHANNEL}', '')` }).catch(() => undefined);
  };
  return () => {
    waiting++;
    if (pending) return;
    pending = true;
    const waitMs = told > FEW ? last + DEBOUNCE_MS - performance.now() : 0;
    // Not in this turn: publishes that shared a statement share the notification.
    if (waitMs <= 0) setImmediate(notify);
    else setTimeout(notify, waitMs);
  };
}
