import { createFairSemaphore, NotAdmitted } from '../concurrency/fair-semaphore';
import { createShares } from '../concurrency/shares';

/**
 * Activities of one tenant's bulk replays that a worker holds: one works, the others wait for its permit, and Temporal
 * retries further ones later. Counts have a number of their own, so that pages do not wait for a long count.
 */
const HELD_PER_TENANT = { pages: 4, counts: 2 };
/** After work, a tenant's permit rests for this many times as long as the work took. */
const REST_FACTOR = 9;
/** Long enough for a page that took seconds, and far below the 30 minutes that the activity of one may take. */
const MAX_REST_MS = 10_000;

export type ReplayCapacity = {
  /**
   * Runs the work, which takes the tenant's permit for each of its parts.
   * @throws NotAdmitted if this worker holds enough work of the tenant already, or stops
   */
  enter<T>(
    kind: keyof typeof HELD_PER_TENANT,
    tenantId: string,
    work: (withPermit: WithPermit) => Promise<T>,
  ): Promise<T>;
  /** Refuses what waits, and whatever would wait from now on. */
  close(): void;
};
export type WithPermit = <T>(part: () => Promise<T>) => Promise<T>;

/**
 * Shares a worker's capacity for bulk replays by tenant: `pagesAtOnce` pages or counting steps at once, one of each tenant.
 * However many replays a tenant has, together they use a tenth of one connection.
 */
export function createReplayCapacity(pagesAtOnce: number): ReplayCapacity {
  const semaphore = createFairSemaphore({
    atOnce: pagesAtOnce,
    perKey: 1,
    restFactor: REST_FACTOR,
    maxRestMs: MAX_REST_MS,
  });
  const held = {
    pages: createShares({ perKey: HELD_PER_TENANT.pages, total: Number.POSITIVE_INFINITY }),
    counts: createShares({ perKey: HELD_PER_TENANT.counts, total: Number.POSITIVE_INFINITY }),
  };
  return {
    async enter(kind, tenantId, work) {
      const leave = held[kind].take(tenantId);
      if (!leave) throw new NotAdmitted();
      try {
        return await work((part) => semaphore.run(tenantId, part));
      } finally {
        leave();
      }
    },
    close: semaphore.close,
  };
}
