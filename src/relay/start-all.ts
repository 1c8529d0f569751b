import { type Log, reasonOf } from '../log';

/** Workflow starts at once. */
const CONCURRENCY = 16;
/** After so many failed starts in a row it is Temporal that does not work, and not what was to be started. */
const MAX_FAILED_IN_A_ROW = CONCURRENCY;

export type Starts = {
  /** Workflows that were not running before. */
  started: number;
  /** Every item was tried: it was not stopped, and Temporal takes starts. */
  complete: boolean;
};

/**
 * Starts a workflow for each item, some at once: one that hangs holds up no more than its own place. Ends early if it is
 * stopped, or if starts fail one after the other.
 */
export async function startAll<Item>(
  items: readonly Item[],
  start: (item: Item) => Promise<string>,
  { log, stopped }: { log: Log; stopped: () => boolean },
): Promise<Starts> {
  const left = items.values();
  let tried = 0;
  let started = 0;
  let failedInARow = 0;
  const place = async () => {
    while (!stopped() && failedInARow < MAX_FAILED_IN_A_ROW) {
      const next = left.next();
      if (next.done) return;
      tried++;
      try {
        if ((await start(next.value)) !== 'already_running') started++;
        failedInARow = 0;
      } catch (error) {
        failedInARow++;
        log.warn({ event: 'restart_failed', err: reasonOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, place));
  return { started, complete: tried === items.length && failedInARow < MAX_FAILED_IN_A_ROW };
}
