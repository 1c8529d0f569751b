import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../db/database';
import {
  finishRequest,
  type Held,
  type KeptAnswer,
  LEASE_MS,
  releaseRequest,
} from '../../db/publish/idempotent-requests';
import { wasRefused } from '../../db/statement-errors';

/** Ends the use of an `Idempotency-Key`. While the database is unavailable it tries again until it succeeds. */
export type Settling = {
  /** Stores the answer. @throws if the first try fails; it is tried again all the same */
  finish(held: Held, answer: KeptAnswer): Promise<void>;
  /** Lets the request be served again. Never fails, and tries again. */
  release(held: Held): Promise<void>;
  stop(): void;
};

/** Requests with a key that wait for the database: about as many as come in a minute of heavy use. */
const MAX_WAITING = 1_000;
/** Bytes of their answers. Answers over this are dropped, and their keys are free when their leases are over. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const RETRY_MS = 1_000;

type Waiting = {
  settle: () => Promise<boolean>;
  bytes: number;
  /** Since when the database answers that there is no such row. */
  missingSince?: number;
};

/** Tries at once; tries again every second what failed, one after the other over one connection. */
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
   * Undefined while the database is unavailable. If there is no row, it may still appear: Postgres may commit a claim that
   * we stopped waiting for after it is available again. So the entry ends only when a lease's time has passed without it.
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
        later({ settle, bytes: answer.answer?.length ?? 0 });
        throw error;
      });
    },
    async release(held) {
      const settle = () => releaseRequest(pool, held);
      // If the row is not there, it may still appear: see isEnded.
      if (!(await settle().catch(() => false))) later({ settle, bytes: 0 });
    },
    stop: () => stopping.abort(),
  };
}
