/** Tells the time and calls back after a time; tests have their own. */
export type Clock = {
  now(): number;
  after(ms: number, wake: () => void): void;
};

/** Its timers do not keep the process alive. */
export const processClock: Clock = {
  now: () => performance.now(),
  after: (ms, wake) => void setTimeout(wake, ms).unref(),
};

/** A rest is `factor` times as long as the work before it, within these bounds. */
export type Rest = { factor: number; minMs?: number; maxMs: number };

/**
 * How long a key rests after work that took `tookMs`, milliseconds: so it uses at most 1 / (1 + factor) of its place,
 * however slow the machine is and however much it asks for.
 */
export function restAfter(tookMs: number, { factor, minMs = 0, maxMs }: Rest): number {
  return Math.min(maxMs, Math.max(minMs, tookMs * factor));
}

/** The keys that rest now, and until when. */
export type Rests = {
  /** This key rests from now on for `ms`, in place of any rest it was in. */
  begin(key: string, ms: number): void;
  /** The keys that rest. */
  keys(): string[];
  /** Time until the first rest ends, milliseconds; infinite if no key rests. */
  firstEndsInMs(): number;
};

/** @param maxKeys keys that may rest at once; beyond it, the rest that began first is dropped */
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
