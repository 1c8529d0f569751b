import type { Steps } from '../domain/work-budget';
import { ApiError } from './errors';

/**
 * Work that takes longer than this at a time lets others in: a request of somebody else waits no longer than this for
 * each of its own steps, and far less than a statement takes.
 */
const SLICE_MS = 1;
/** After a slice the event loop belongs to everybody else for so many times as long; to whatever else this tenant does where nobody else is there. */
const REST_FACTOR = 4;
const REST_FACTOR_ALONE = 1;
/** Large requests of one tenant that are read and served at once: each holds some twenty times its bytes. */
const MAX_AT_ONCE = 4;
/** Of one tenant's large requests that wait for one of those to end. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** From here on a request's body counts as large; most are some kilobytes. */
export const LARGE_BODY_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = 1;

/** Shares the event loop between tenants: what is long is done in slices, a tenant at a time. */
export type Turns = {
  /** Does the work; what is short is done at once. Rejects with what it throws. */
  run<T>(tenantId: string, steps: Steps<T>): Promise<T>;
  /**
   * Waits until the tenant may have another large request in hand.
   * @returns what ends it
   * @throws ApiError rate_limited where too many wait
   */
  admit(tenantId: string, bytes: number): Promise<() => void>;
};

type Job = { steps: Steps<unknown>; resolve: (value: unknown) => void; reject: (error: unknown) => void };

/**
 * @param isAlone whether nobody else than this tenant asks for anything
 * @param sliceMs for tests
 */
export function createTurns({ sliceMs = SLICE_MS, isAlone = (_tenantId: string): boolean => true } = {}): Turns {
  /** Work that has not ended, of each tenant in order of arrival; the tenant whose turn is next stands first. */
  const waiting = new Map<string, Job[]>();
  /** What tenants have used of this turn of the event loop without having waited, milliseconds. */
  const used = new Map<string, number>();
  let scheduled = false;
  let restUntil = 0;

  const large = new Map<string, { running: number; waitingBytes: number; next: (() => void)[] }>();

  return { run, admit };

  async function run<T>(tenantId: string, steps: Steps<T>): Promise<T> {
    const usedMs = used.get(tenantId) ?? 0;
    if (usedMs < sliceMs && !waiting.has(tenantId)) {
      if (used.size === 0) setImmediate(() => used.clear());
      const { done, value, tookMs } = slice(steps, sliceMs - usedMs);
      used.set(tenantId, usedMs + tookMs);
      if (done) return value as T;
    }
    return new Promise<T>((resolve, reject) => {
      const jobs = waiting.get(tenantId) ?? [];
      jobs.push({ steps, resolve: resolve as Job['resolve'], reject });
      waiting.set(tenantId, jobs);
      schedule();
    });
  }

  function schedule(): void {
    if (scheduled || waiting.size === 0) return;
    scheduled = true;
    const restMs = restUntil - performance.now();
    if (restMs >= 1) setTimeout(turn, restMs);
    else setImmediate(turn);
  }

  /** A slice for the tenant that waits longest, which then stands last. */
  function turn(): void {
    scheduled = false;
    const [tenantId, jobs] = waiting.entries().next().value!;
    waiting.delete(tenantId);
    const job = jobs[0]!;
    const startedAt = performance.now();
    try {
      const { done, value } = slice(job.steps, sliceMs);
      if (done) {
        jobs.shift();
        job.resolve(value);
      }
    } catch (error) {
      jobs.shift();
      job.reject(error);
    }
    if (jobs.length > 0) waiting.set(tenantId, jobs);
    const now = performance.now();
    restUntil = now + (now - startedAt) * (isAlone(tenantId) ? REST_FACTOR_ALONE : REST_FACTOR);
    schedule();
  }

  async function admit(tenantId: string, bytes: number): Promise<() => void> {
    const own = large.get(tenantId) ?? { running: 0, waitingBytes: 0, next: [] };
    large.set(tenantId, own);
    if (own.running < MAX_AT_ONCE) own.running++;
    else {
      if (own.waitingBytes + bytes > MAX_WAITING_BYTES) {
        throw new ApiError(
          'rate_limited',
          `Large requests of this tenant wait already: at most ${MAX_WAITING_BYTES} bytes may.`,
          [],
          RETRY_AFTER_SECONDS,
        );
      }
      own.waitingBytes += bytes;
      await new Promise<void>((resolve) => own.next.push(resolve));
      own.waitingBytes -= bytes;
    }
    return () => {
      const next = own.next.shift();
      // The place goes on to the one that waits longest.
      if (next) next();
      else if (--own.running === 0) large.delete(tenantId);
    };
  }
}

/** Some steps, until the time is over; at least one. */
function slice<T>(steps: Steps<T>, ms: number): { done: boolean; value: T | undefined; tookMs: number } {
  const startedAt = performance.now();
  for (;;) {
    const step = steps.next();
    const tookMs = performance.now() - startedAt;
    if (step.done) return { done: true, value: step.value, tookMs };
    if (tookMs >= ms) return { done: false, value: undefined, tookMs };
  }
}
