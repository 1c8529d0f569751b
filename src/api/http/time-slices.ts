import type { Steps } from '../../domain/work-budget';
import { ApiError } from '../errors';

/**
 * The length of a time slice. Longer work is interrupted after it, so another tenant's request waits no longer than this
 * for each of its own steps: far less than a statement takes.
 */
const SLICE_MS = 1;
/** After a slice, short work has the event loop for as long again: long work uses half of it at most. */
const REST_FACTOR = 1;
/** After its slice a tenant rests for so many times as long, while other tenants make requests: it uses a tenth at most. */
const REST_FACTOR_OF_TENANT = 9;
/** Large requests of one tenant that are read and served at once. Each uses some twenty times its size in memory. */
const MAX_AT_ONCE = 4;
/** Bytes of one tenant's large requests that wait for one of those to end. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** A body of this size or more counts as large; most are some kilobytes. */
export const LARGE_BODY_BYTES = 64 * 1024;
const RETRY_AFTER_SECONDS = 1;
/** With more tenants than this in `resting`, those whose rest is over are removed. */
const MAX_RESTING = 1_000;

/** Shares the event loop between tenants: long work is done in time slices, one tenant after the other. */
export type TimeSlices = {
  /** Does the work; short work is done at once. Rejects with what it throws. */
  run<T>(tenantId: string, steps: Steps<T>): Promise<T>;
  /**
   * Waits until the tenant may have another large request in memory.
   * @returns the function to call when that request has ended
   * @throws ApiError rate_limited if too many bytes wait
   */
  admit(tenantId: string, bytes: number): Promise<() => void>;
};

type Job = { steps: Steps<unknown>; resolve: (value: unknown) => void; reject: (error: unknown) => void };

/**
 * @param isAlone whether no other tenant makes requests
 * @param sliceMs for tests
 */
export function createTimeSlices({
  sliceMs = SLICE_MS,
  isAlone = (_tenantId: string): boolean => true,
} = {}): TimeSlices {
  /** Unfinished work of each tenant, in order of arrival. The tenant that gets the next slice is first. */
  const waiting = new Map<string, Job[]>();
  /** Milliseconds that each tenant has used in this iteration of the event loop without waiting. */
  const used = new Map<string, number>();
  /** Until when each tenant that has had a slice leaves the next ones to others. */
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

  /** Schedules the next slice for when the first waiting tenant may have one. */
  function schedule(): void {
    if (waiting.size === 0) return;
    let fromMs = Number.POSITIVE_INFINITY;
    for (const tenantId of waiting.keys()) fromMs = Math.min(fromMs, resting.get(tenantId) ?? 0);
    fromMs = Math.max(fromMs, restUntil);
    if (next && next.atMs <= fromMs) return;
    next?.cancel();
    const waitMs = fromMs - performance.now();
    if (waitMs >= 1) {
      const timer = setTimeout(runNextSlice, waitMs);
      next = { atMs: fromMs, cancel: () => clearTimeout(timer) };
    } else {
      const immediate = setImmediate(runNextSlice);
      next = { atMs: fromMs, cancel: () => clearImmediate(immediate) };
    }
  }

  function rests(tenantId: string): boolean {
    return (resting.get(tenantId) ?? 0) - performance.now() >= 1;
  }

  /** Runs a slice for the first tenant that does not rest, and puts it at the end. */
  function runNextSlice(): void {
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

  /** Runs one slice of these jobs, in their order. Returns the milliseconds used. */
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
      // The request that waits longest takes the place.
      if (longest) longest();
      else if (--own.running === 0) large.delete(tenantId);
    };
  }
}

/** Runs steps until the time is over; at least one. */
function slice<T>(steps: Steps<T>, ms: number): { done: boolean; value: T | undefined; tookMs: number } {
  const startedAt = performance.now();
  for (;;) {
    const step = steps.next();
    const tookMs = performance.now() - startedAt;
    if (step.done) return { done: true, value: step.value, tookMs };
    if (tookMs >= ms) return { done: false, value: undefined, tookMs };
  }
}
