import type { Steps } from '../../domain/work-budget';
import { ApiError } from '../errors';

/**
 * Work that takes longer than this at a time lets others in: a request of somebody else waits no longer than this for
 * each of its own steps, and far less than a statement takes.
 */
const SLICE_MS = 1;
/** After a slice everything that is short has the event loop for as long again: long work has half of it at most. */
const REST_FACTOR = 1;
/** And of one tenant a tenth, while anybody else asks for something. */
const REST_FACTOR_OF_TENANT = 9;
/** Large requests of one tenant that are read and served at once: each holds some twenty times its bytes. */
const MAX_AT_ONCE = 4;
/** Of one tenant's large requests that wait for one of those to end. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** From here on a request's body counts as large; most are some kilobytes. */
export const LARGE_BODY_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = 1;
/** Tenants whose rest is remembered before those that have rested are forgotten. */
const MAX_RESTING = 1_000;

/** Shares the event loop between tenants: what is long is done in slices, a tenant at a time. */
export type TimeSlices = {
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
export function createTimeSlices({
  sliceMs = SLICE_MS,
  isAlone = (_tenantId: string): boolean => true,
} = {}): TimeSlices {
  /** Work that has not ended, of each tenant in order of arrival; the tenant whose turn is next stands first. */
  const waiting = new Map<string, Job[]>();
  /** What tenants have used of this turn of the event loop without having waited, milliseconds. */
  const used = new Map<string, number>();
  /** Those that have had a slice and leave the next ones to others, until when. */
  const resting = new Map<string, number>();
  let next: { atMs: number; cancel: () => void } | undefined;
  let restUntil = 0;

  const large = new Map<string, { running: number; waitingBytes: number; next: (() => void)[] }>();

  return { run, admit };

  async function run<T>(tenantId: string, steps: Steps<T>): Promise<T> {
    const usedMs = used.get(tenantId) ?? 0;
    if (usedMs < sliceMs && !waiting.has(tenantId) && !rests(tenantId)) {
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

  /** Has the next turn come as soon as it may: who has just come need not wait for those that rest. */
  function schedule(): void {
    if (waiting.size === 0) return;
    let fromMs = Number.POSITIVE_INFINITY;
    for (const tenantId of waiting.keys()) fromMs = Math.min(fromMs, resting.get(tenantId) ?? 0);
    fromMs = Math.max(fromMs, restUntil);
    if (next && next.atMs <= fromMs) return;
    next?.cancel();
    const waitMs = fromMs - performance.now();
    if (waitMs >= 1) {
      const timer = setTimeout(turn, waitMs);
      next = { atMs: fromMs, cancel: () => clearTimeout(timer) };
    } else {
      const immediate = setImmediate(turn);
      next = { atMs: fromMs, cancel: () => clearImmediate(immediate) };
    }
  }

  function rests(tenantId: string): boolean {
    return (resting.get(tenantId) ?? 0) - performance.now() >= 1;
  }

  /** A slice for the tenant that waits longest and does not rest, which then stands last. */
  function turn(): void {
    next = undefined;
    for (const [tenantId, jobs] of waiting) {
      if (rests(tenantId)) continue;
      waiting.delete(tenantId);
      const tookMs = work(jobs);
      if (jobs.length > 0) waiting.set(tenantId, jobs);
      rest(tenantId, tookMs);
      break;
    }
    schedule();
  }

  /** A slice of these, in their order. */
  function work(jobs: Job[]): number {
    let usedMs = 0;
    do {
      const job = jobs[0]!;
      const startedAt = performance.now();
      try {
        const { done, value } = slice(job.steps, sliceMs - usedMs);
        if (done) {
          jobs.shift();
          job.resolve(value);
        }
      } catch (error) {
        jobs.shift();
        job.reject(error);
      }
      usedMs += performance.now() - startedAt;
    } while (jobs.length > 0 && usedMs < sliceMs);
    return usedMs;
  }

  function rest(tenantId: string, tookMs: number): void {
    const now = performance.now();
    restUntil = now + tookMs * REST_FACTOR;
    if (isAlone(tenantId)) return;
    resting.set(tenantId, now + tookMs * REST_FACTOR_OF_TENANT);
    if (resting.size > MAX_RESTING) for (const [id, untilMs] of resting) if (untilMs <= now) resting.delete(id);
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
      const longest = own.next.shift();
      // The place goes on to the one that waits longest.
      if (longest) longest();
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
