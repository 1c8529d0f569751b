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

/** Who rests now, and until when. */
export type Rests = {
  /** From now on, for so long; what was said of this key before is over. */
  begin(key: string, ms: number): void;
  /** Those that rest. */
  keys(): string[];
  /** Until the first of them has rested, milliseconds; infinite where nobody rests. */
  firstEndsInMs(): number;
};

/** @param maxKeys that may rest at once; whoever began first is forgotten for one more */
export function createRests(maxKeys: number, clock: Pick<Clock, 'now'> = processClock): Rests {
  const until = new Map<string, number>();
  const forgetRested = () => {
    for (const [key, untilMs] of until) if (untilMs <= clock.now()) until.delete(key);
  };
  return {
    begin(key, ms) {
      until.delete(key);
      if (until.size >= maxKeys) until.delete(until.keys().next().value!);
      until.set(key, clock.now() + ms);
    },
    keys() {
      forgetRested();
      return [...until.keys()];
    },
    firstEndsInMs() {
      forgetRested();
      let firstMs = Number.POSITIVE_INFINITY;
      for (const untilMs of until.values()) firstMs = Math.min(firstMs, untilMs - clock.now());
      return firstMs;
    },
  };
}
