export type BatcherSettings<In> = {
  /** Items of one batch, at most. */
  maxItems: number;
  /** Batches under way at once; what comes meanwhile waits for the next one. */
  maxRunning: number;
  /**
   * From the start of one batch to that of the next, milliseconds: while items keep coming, fewer and larger batches.
   * Called each time.
   */
  gatherMs?: () => number;
  /** What an item weighs, and what a batch may weigh in all; a heavier item goes alone. */
  weightOf?: (item: In) => number;
  maxWeight?: number;
  /** Items with the same key never share a batch; undefined: with any. */
  keyOf?: (item: In) => string | undefined;
  /**
   * Whether an error means that nothing of the batch was done and one item may have caused it, as when Postgres refuses a
   * statement: then each item is run alone at once, so that one item does not fail the others.
   */
  aloneAfter?: (error: unknown) => boolean;
};

type Waiting<In, Out> = { item: In; resolve: (out: Out | Promise<Out>) => void; reject: (error: unknown) => void };

/**
 * Batches the calls of many callers: the first one is run at once, those that come while a batch is under way share the
 * next. So a statement that costs the same for one row and for fifty is run once, and a lone caller does not wait.
 *
 * @param run answers for the items, in their order; a promise among the answers is its item's own outcome. If `run`
 * itself rejects, so does every item of the batch, unless `aloneAfter` has each of them run again
 */
export function createBatcher<In, Out>(
  run: (items: In[]) => Promise<readonly (Out | Promise<Out>)[]>,
  settings: BatcherSettings<In>,
): (item: In) => Promise<Out> {
  const { maxItems, maxRunning, gatherMs = () => 0, weightOf = () => 0, maxWeight = 0, keyOf } = settings;
  const { aloneAfter = () => false } = settings;
  let waiting: Waiting<In, Out>[] = [];
  let running = 0;
  let lastStart = Number.NEGATIVE_INFINITY;
  let scheduled = false;

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      schedule();
    });

  function schedule(): void {
    if (scheduled || waiting.length === 0 || running >= maxRunning) return;
    scheduled = true;
    const waitMs = waiting.length >= maxItems ? 0 : lastStart + gatherMs() - performance.now();
    // Not in this iteration of the event loop: callers that are served by one read of a socket belong together.
    if (waitMs <= 0) setImmediate(start);
    else setTimeout(start, waitMs);
  }

  function start(): void {
    scheduled = false;
    const batch = take();
    running++;
    lastStart = performance.now();
    runOrAlone(batch.map(({ item }) => item))
      .then(
        (outs) => {
          for (const [i, { resolve }] of batch.entries()) resolve(outs[i]!);
        },
        (error: unknown) => {
          for (const { reject } of batch) reject(error);
        },
      )
      .finally(() => {
        running--;
        schedule();
      });
    schedule();
  }

  async function runOrAlone(items: In[]): Promise<readonly (Out | Promise<Out>)[]> {
    try {
      return await run(items);
    } catch (error) {
      if (items.length === 1 || !aloneAfter(error)) throw error;
      return items.map(async (item) => (await run([item]))[0]!);
    }
  }

  /** The next batch, in order of arrival but for items that have to wait. */
  function take(): Waiting<In, Out>[] {
    const taken: Waiting<In, Out>[] = [];
    const left: Waiting<In, Out>[] = [];
    const keys = new Set<string>();
    let weight = 0;
    for (const one of waiting) {
      const key = keyOf?.(one.item);
      const heavier = weight + weightOf(one.item);
      const full = taken.length >= maxItems || (taken.length > 0 && heavier > maxWeight) || left.length > 0;
      if (full || (key !== undefined && keys.has(key))) {
        left.push(one);
        continue;
      }
      taken.push(one);
      weight = heavier;
      if (key !== undefined) keys.add(key);
    }
    waiting = left;
    return taken;
  }
}
