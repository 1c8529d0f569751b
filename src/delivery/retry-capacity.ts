import { TenantSlots } from '../concurrency/tenant-slots';

/** Attempts of one tenant that may wait here while no other tenant's do; more are sent back to Temporal at once. */
export const MAX_WAITING = 200;
/** Longest wait of one attempt. With the longest POST it stays below the limit of an attempt's activity. */
const PATIENCE_MS = 3_000;

/** This worker has no free slot for this tenant. Nothing was loaded, and nothing sent. */
export class NoCapacity extends Error {
  override readonly name = 'NoCapacity';
  /** @param waited it waited here for a slot, so it may come back soon; one that could not even wait comes back later */
  constructor(readonly waited: boolean) {
    super('this worker makes as many attempts for this tenant as it may');
  }
}

/** Slots for attempts that were not claimed: a timer fired, or an operator asked for them. See {@link createRetryCapacity}. */
export type RetryCapacity = {
  /** Waits for a slot, for 3 s at most. Returns the function that releases it. @throws NoCapacity */
  enter(tenantId: string | undefined): Promise<() => void>;
  /** Refuses what waits, and whatever would wait from now on. */
  close(): void;
};

type Waiter = { enter(): void; refuse(): void };

/**
 * Shares `capacity` attempts out by tenant (decision 33). An attempt takes its slot before anything else: one that waits has
 * not been loaded, so whatever becomes of its delivery meanwhile counts.
 *
 * Temporal hands tasks over in the order in which they came. Beyond the number that may wait here, those of a tenant
 * without a free slot are sent back at once, so that tasks of other tenants behind them are reached.
 */
export function createRetryCapacity(capacity: number): RetryCapacity {
  const slots = new TenantSlots(capacity);
  const places = new TenantSlots(MAX_WAITING);
  /** What waits, by tenant, in order of arrival. */
  const waiting = new Map<string, Set<Waiter>>();
  let closed = false;

  function take(tenantId: string): () => void {
    slots.take(tenantId);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      slots.release(tenantId);
      admit();
    };
  }

  /** Lets in what waits; the tenant that holds the fewest slots goes first. */
  function admit(): void {
    for (;;) {
      const { held } = slots.allowance;
      const [next] = [...waiting.keys()]
        .filter((tenantId) => slots.mayTake(tenantId))
        .sort((a, b) => (held.get(a) ?? 0) - (held.get(b) ?? 0));
      if (next === undefined) return;
      const [first] = waiting.get(next)!;
      first!.enter();
    }
  }

  function wait(tenantId: string): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const own = waiting.get(tenantId) ?? new Set();
      waiting.set(tenantId, own);
      places.take(tenantId);
      const end = () => {
        clearTimeout(timer);
        own.delete(waiter);
        if (own.size === 0) waiting.delete(tenantId);
        places.release(tenantId);
      };
      const waiter: Waiter = {
        enter() {
          end();
          resolve(take(tenantId));
        },
        refuse() {
          end();
          reject(new NoCapacity(true));
        },
      };
      const timer = setTimeout(waiter.refuse, PATIENCE_MS);
      own.add(waiter);
    });
  }

  return {
    async enter(tenantId = '') {
      if (!closed && !waiting.has(tenantId) && slots.mayTake(tenantId)) return take(tenantId);
      if (closed || !places.mayTake(tenantId)) throw new NoCapacity(false);
      return wait(tenantId);
    },
    close() {
      closed = true;
      for (const own of waiting.values()) for (const waiter of own) waiter.refuse();
    },
  };
}
