import { createShares, type ShareLimits } from '../concurrency/shares';
import { rateLimited } from './errors';

const POLL_MS = 100;

export type WaitSettings = {
  /** Those of the things with these ids that have not ended. */
  pending: (ids: readonly string[]) => Promise<Set<string>>;
  /** A wait ends after this time in any case, milliseconds. */
  limitMs: number;
  /** Requests that may wait at once, of one tenant and of all: each is an open connection. */
  places: ShareLimits;
  /** What they wait for, with its article; for the message that refuses one more. */
  what: string;
};

export type Waits = {
  /**
   * Takes a place to wait in; `leave` must be called to release it.
   * @throws ApiError rate_limited if the tenant, or all tenants together, have as many requests waiting as they may
   */
  enter(tenantId: string): WaitingPlace;
};

export type WaitingPlace = {
  leave(): void;
  /** Resolves when the thing has ended, when the time is over, or when the client has disconnected. */
  untilEnded(id: string, gone: AbortSignal): Promise<void>;
};

/** Requests that wait for something in Postgres to end: one query for all of them at a time, however many wait. */
export function createWaits({ pending, limitMs, places: limits, what }: WaitSettings): Waits {
  const places = createShares(limits);
  type Wait = { id: string; end(error?: unknown): void };
  const waits = new Set<Wait>();
  let looking = false;

  async function look(): Promise<void> {
    const asked = [...waits];
    try {
      const left = await pending([...new Set(asked.map(({ id }) => id))]);
      for (const wait of asked) if (!left.has(wait.id)) wait.end();
    } catch (error) {
      for (const wait of asked) wait.end(error);
    }
    if (waits.size > 0) setTimeout(() => void look(), POLL_MS);
    else looking = false;
  }

  function untilEnded(id: string, gone: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wait = { id, end };
      const timer = setTimeout(end, limitMs);
      const leave = () => end();
      gone.addEventListener('abort', leave);
      function end(error?: unknown): void {
        clearTimeout(timer);
        gone.removeEventListener('abort', leave);
        waits.delete(wait);
        if (error === undefined) resolve();
        else reject(error);
      }
      if (gone.aborted) return end();
      waits.add(wait);
      if (looking) return;
      looking = true;
      void look();
    });
  }

  return {
    enter(tenantId) {
      const leave = places.take(tenantId);
      if (leave) return { leave, untilEnded };
      const { perKey, total } = limits;
      const detail = `Too many requests wait for ${what}: ${perKey} of one tenant may, and ${total} in all.`;
      throw rateLimited(detail, { nextInMs: limitMs });
    },
  };
}
