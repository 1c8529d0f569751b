import type { Database } from '../db/database';
import { WORK_CHANNEL } from '../domain/names';

/** NOTIFY takes a lock that serialises commits, so it stays out of the publish and is sent this often at most. */
const DEBOUNCE_MS = 10;
/** A notification that told of no more than this came from a quiet time: the next one need not wait for others. */
const FEW = 2;
/** What comes so soon after a notification comes from the same statement: it shares the next one. */
const SAME_STATEMENT_MS = 1;

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
    const passedMs = performance.now() - last;
    if (told > FEW && passedMs < DEBOUNCE_MS) setTimeout(notify, DEBOUNCE_MS - passedMs);
    // A single publish is told of before it is answered. Those that shared a statement share a notification.
    else if (told <= FEW && passedMs > SAME_STATEMENT_MS) notify();
    else setImmediate(notify);
  };
}
