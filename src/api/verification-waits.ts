import { createShares } from '../concurrency/shares';
import type { Queryable } from '../db/database';
import { pendingVerifications } from '../db/store/verifications';
import { rateLimited } from './errors';

/** A round ends within this time, unless a worker died or there is none. */
const WAIT_LIMIT_MS = 15_000;
const POLL_MS = 100;
/** Requests that may wait at once, of one tenant and of all: each is an open connection. */
export const MAX_WAITS = { perKey: 20, total: 200 };

export type VerificationWaits = {
  /**
   * Takes a place to wait in; `leave` must be called to release it.
   * @throws ApiError rate_limited if the tenant, or all tenants together, have as many requests waiting as they may
   */
  enter(tenantId: string): { leave(): void; untilEnded(webhookId: string, gone: AbortSignal): Promise<void> };
};

/** Waits for rounds of verification to end: one query for all of them at a time, however many requests wait. */
export function createVerificationWaits(db: Queryable): VerificationWaits {
  const places = createShares(MAX_WAITS);
  type Wait = { webhookId: string; end(error?: unknown): void };
  const waits = new Set<Wait>();
  let looking = false;

  async function look(): Promise<void> {
    const asked = [...waits];
    try {
      const pending = await pendingVerifications(db, [...new Set(asked.map(({ webhookId }) => webhookId))]);
      for (const wait of asked) if (!pending.has(wait.webhookId)) wait.end();
    } catch (error) {
      for (const wait of asked) wait.end(error);
    }
    if (waits.size > 0) setTimeout(() => void look(), POLL_MS);
    else looking = false;
  }

  /** Resolves when the round has ended, after {@link WAIT_LIMIT_MS}, or when the client has disconnected. */
  function untilEnded(webhookId: string, gone: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wait = { webhookId, end };
      const timer = setTimeout(end, WAIT_LIMIT_MS);
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
      const { perKey, total } = MAX_WAITS;
      const detail = `Too many requests wait for a verification: ${perKey} of one tenant may, and ${total} in all.`;
      throw rateLimited(detail, { nextInMs: WAIT_LIMIT_MS });
    },
  };
}
