import type { Database } from '../../db/database';
import { WORK_CHANNEL } from '../../db/work-channel';

/** NOTIFY takes a lock that serialises commits, so it is not part of the publish, and is sent once in this time at most. */
const DEBOUNCE_MS = 10;
/** Calls so soon after a notification come from the same statement: they share the next notification. */
const SAME_STATEMENT_MS = 1;

/**
 * Returns a function that notifies the relays of new work: at once, or at most every 10 ms while much is published. If a
 * notification is lost, the relays find the work at their next poll.
 */
export function createNotifier({ pool }: Database, publisher: { readonly busy: boolean }): () => void {
  let last = Number.NEGATIVE_INFINITY;
  let pending = false;
  const notify = () => {
    pending = false;
    last = performance.now();
    pool.query({ name: 'notify', text: `select pg_notify('${WORK_CHANNEL}', '')` }).catch(() => undefined);
  };
  return () => {
    if (pending) return;
    pending = true;
    const passedMs = performance.now() - last;
    if (publisher.busy) setTimeout(notify, Math.max(0, DEBOUNCE_MS - passedMs));
    // A single publish is notified before it is answered. Publishes that shared a statement share a notification.
    else if (passedMs > SAME_STATEMENT_MS) notify();
    else setImmediate(notify);
  };
}
