import { TenantSlots } from '../concurrency/tenant-slots';

/** Attempts of a tenant that wait here for room while no other's do; more come back later. */
export const MAX_WAITING = 200;
/** So long each waits. With the longest POST it stays below the limit of an attempt's activity. */
const PATIENCE_MS = 3_000;

/** There is none for this tenant now. Nothing was looked at, and nothing sent. */
export class NoRoom extends Error {
  override readonly name = 'NoRoom';
  /** @param waited it may come back soon; others wait for longer, so that they are not in the way */
  constructor(readonly waited: boolean) {
    super('this worker makes as many attempts for this tenant as it may');
  }
}

/** Room for attempts that nobody claimed: a timer fired, or an operator asked for them. See {@link createRetryRoom}. */
export type RetryRoom = {
  /** Waits for room, for a while. Returns what ends it. @throws NoRoom */
  enter(tenantId: string | undefined): Promise<() => void>;
  /** Nobody waits from now on. */
  close(): void;
};

type Waiter = { enter(): void; refuse(): void };

/**
 * Shares `capacity` attempts out by tenant (decision 33). It stands before everything else of an attempt: one that waits has
 * not been loaded, and whatever becomes of its delivery meanwhile counts.
 *
 * The engine hands tasks over in the order in which they came, so those of a tenant that has no room must not stay: beyond
 * a number that may wait here, they are sent back at once, and others come to light.
 */
export function createRetryRoom(capacity: number): RetryRoom {
  const slots = new TenantSlots(capacity);
  const places = new TenantSlots(MAX_WAITING);
  /** In the order in which they came, by tenant. */
  const waiting = new Map<string, Set<Waiter>>();
  let closed = false;

  function take(tenantId: string): () => void {
    slots.take(tenantId);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      slots.giveBack(tenantId);
      letIn();
    };
  }

  /** Whoever holds least goes first. */
  function letIn(): void {
    for (;;) {
      const { held } = slots.room;
      const [next] = [...waiting.keys()]
        .filter((tenantId) => slots.hasRoom(tenantId))
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
        places.giveBack(tenantId);
      };
      const waiter: Waiter = {
        enter() {
          end();
          resolve(take(tenantId));
        },
        refuse() {
          end();
          reject(new NoRoom(true));
        },
      };
      const timer = setTimeout(waiter.refuse, PATIENCE_MS);
      own.add(waiter);
    });
  }

  return {
    async enter(tenantId = '') {
      if (!closed && !waiting.has(tenantId) && slots.hasRoom(tenantId)) return take(tenantId);
      if (closed || !places.hasRoom(tenantId)) throw new NoRoom(false);
      return wait(tenantId);
    },
    close() {
      closed = true;
      for (const own of waiting.values()) for (const waiter of own) waiter.refuse();
    },
  };
}
