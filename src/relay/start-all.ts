import { type Log, reasonOf } from '../log';

/** Workflow starts at once. */
const CONCURRENCY = 16;

/** Starts a workflow for each item, some at once, until stopped. Returns how many were not running before. */
export async function startAll<Item>(
  items: readonly Item[],
  start: (item: Item) => Promise<string>,
  { log, stopped }: { log: Log; stopped: () => boolean },
): Promise<number> {
  let started = 0;
  for (let i = 0; i < items.length && !stopped(); i += CONCURRENCY) {
    for (const outcome of await Promise.allSettled(items.slice(i, i + CONCURRENCY).map(start))) {
      if (outcome.status === 'fulfilled' && outcome.value !== 'already_running') started++;
      if (outcome.status === 'rejected') log.warn({ event: 'restart_failed', err: reasonOf(outcome.reason) });
    }
  }
  return started;
}
