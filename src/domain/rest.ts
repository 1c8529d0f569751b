/** What counts milliseconds and wakes; tests have one of their own. */
export type Clock = {
  now(): number;
  after(ms: number, wake: () => void): void;
};

/** Keeps no process alive: nobody has to rest in one that could end. */
export const processClock: Clock = {
  now: () => performance.now(),
  after: (ms, wake) => void setTimeout(wake, ms).unref(),
};

/** A rest is so many times as long as the work before it, within these bounds, milliseconds. */
export type Rest = { factor: number; minMs?: number; maxMs: number };

/**
 * How long whoever has worked for so long leaves the place to others, milliseconds: a share of 1 / (1 + factor) is what he
 * can use, however slow the machine is and whatever he asks for.
 */
export function restAfter(tookMs: number, { factor, minMs = 0, maxMs }: Rest): number {
  return Math.min(maxMs, Math.max(minMs, tookMs * factor));
}
