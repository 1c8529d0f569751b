import { createTurns, NoTurn } from '../concurrency/fair-turns';
import { createShares } from '../concurrency/shares';

/**
 * What a worker has in hand of one tenant's bulk replays: one works, the others wait for their turn, and more come back
 * later. Counting is apart, so that pages do not wait for the end of a long one.
 */
const IN_HAND = { pages: 4, counts: 2 };
/** A tenant's replays leave their place empty for so many times as long as they have used it. */
const REST_FACTOR = 9;
/** Long enough for a page that took seconds, and far below the 30 minutes that the activity of one may take. */
const MAX_REST_MS = 10_000;

export type ReplayRoom = {
  /**
   * Has the work in hand, which takes a turn for each of its parts.
   * @throws NoTurn where the tenant has enough in hand, or the worker stops
   */
  enter<T>(kind: keyof typeof IN_HAND, tenantId: string, work: (inTurn: InTurn) => Promise<T>): Promise<T>;
  /** Nobody waits from now on. */
  close(): void;
};
export type InTurn = <T>(part: () => Promise<T>) => Promise<T>;

/**
 * Shares the bulk replays' part of a worker out by tenant: so many pages or steps of counting at once, one of each tenant.
 * However many replays a tenant has, together they use a tenth of one connection.
 */
export function createReplayRoom(pagesAtOnce: number): ReplayRoom {
  const turns = createTurns({ atOnce: pagesAtOnce, perKey: 1, restFactor: REST_FACTOR, maxRestMs: MAX_REST_MS });
  const inHand = {
    pages: createShares({ perKey: IN_HAND.pages, total: Number.POSITIVE_INFINITY }),
    counts: createShares({ perKey: IN_HAND.counts, total: Number.POSITIVE_INFINITY }),
  };
  return {
    async enter(kind, tenantId, work) {
      const leave = inHand[kind].take(tenantId);
      if (!leave) throw new NoTurn();
      try {
        return await work((part) => turns.run(tenantId, part));
      } finally {
        leave();
      }
    },
    close: turns.close,
  };
}
