import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../db/database';
import { finishRequest, type Held, LEASE_MS, releaseRequest } from '../../db/publish/idempotent-requests';
import { wasRefused } from '../../db/statement-errors';

/** Ends the use of an `Idempotency-Key`, however long the database is away: its row says so soon after it is back. */
export type Settling = {
  /** Keeps the answer. @throws where that did not work at once; it is tried again */
  finish(held: Held, answer: { status: number; sealedAnswer: string | null }): Promise<void>;
  /** Lets the request be served again. Never fails, and tries again. */
  release(held: Held): Promise<void>;
  stop(): void;
};

/** Requests with a key that wait for the database, at most: about what comes in a minute of heavy use. */
const MAX_WAITING = 1_000;
/** Bytes of their answers; what is beyond is not kept, and its key is free once its lease is over. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const RETRY_MS = 1_000;

type Waiting = {
  settle: () => Promise<boolean>;
  bytes: number;
  /** Since when the database answers, and not that it is done. */
  missingSince?: number;
};

/** Tries at once, and what failed every second, one after the other over one connection. */
export function createSettling({ pool }: Pick<Database, 'pool'>): Settling {
  const waiting = new Set<Waiting>();
  const stopping = new AbortController();
  let bytes = 0;
  let running = false;

  function later(entry: Waiting): void {
    if (waiting.size >= MAX_WAITING || bytes + entry.bytes > MAX_WAITING_BYTES || stopping.signal.aborted) return;
    waiting.add(entry);
    bytes += entry.bytes;
    if (!running) void run();
  }

  async function run(): Promise<void> {
    running = true;
    while (waiting.size > 0 && !stopping.signal.aborted) {
      await sleep(RETRY_MS, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
      for (const entry of waiting) {
        const ended = await isEnded(entry);
        if (ended === undefined) break; // the others wait for the same database
        if (!ended) continue;
        waiting.delete(entry);
        bytes -= entry.bytes;
      }
    }
    running = false;
  }

  /**
   * Undefined while the database is away. A row that is not there may still come: a claim that was given up on may be
   * carried out at any moment after the database is back. It has come within a lease's time, or matters no more.
   */
  async function isEnded(entry: Waiting): Promise<boolean | undefined> {
    try {
      if (await entry.settle()) return true;
    } catch (error) {
      if (!wasRefused(error)) return undefined;
    }
    entry.missingSince ??= performance.now();
    return performance.now() - entry.missingSince > LEASE_MS;
  }

  return {
    async finish(held, answer) {
      const settle = () => finishRequest(pool, held, answer);
      await settle().catch((error: unknown) => {
        later({ settle, bytes: answer.sealedAnswer?.length ?? 0 });
        throw error;
      });
    },
    async release(held) {
      const settle = () => releaseRequest(pool, held);
      // Not there, it may still come: see isEnded.
      if (!(await settle().catch(() => false))) later({ settle, bytes: 0 });
    },
    stop: () => stopping.abort(),
  };
}
