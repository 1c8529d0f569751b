/** Another worker that lives may be sending this attempt: ask again later, its record will answer. */
export class HeldElsewhere extends Error {
  override readonly name = 'HeldElsewhere';
  constructor() {
    super('another worker that lives holds this attempt');
  }
}

/** What was loaded may not hold any more, and nothing was sent. */
export class StaleAttempt extends Error {
  override readonly name = 'StaleAttempt';
  constructor() {
    super('this process was stopped between load and POST');
  }
}

/** Tells whether this process stood still. See {@link watchPauses}. */
export type Pauses = {
  /** @param atMs on the clock of `performance.now()` */
  pausedSince(atMs: number): boolean;
  stop(): void;
};

const TICK_MS = 250;
/** A process that did not get to its next tick for so much longer stood still: stopped, suspended, or busy with one thing. */
const PAUSE_MS = 2_000;

/**
 * Watches for times in which this process does nothing: SIGSTOP, the lid of a laptop, a virtual machine that is paused.
 * What it had in hand may be another's by then. Both clocks are looked at: the monotonic one of some systems stands still
 * while the machine sleeps, and the other one can be set back.
 */
export function watchPauses(): Pauses {
  let last = { monotonicMs: performance.now(), wallMs: Date.now() };
  let pauseEndMs = Number.NEGATIVE_INFINITY;

  function look(): void {
    const now = { monotonicMs: performance.now(), wallMs: Date.now() };
    const stoodMs = Math.max(now.monotonicMs - last.monotonicMs, now.wallMs - last.wallMs);
    if (stoodMs > PAUSE_MS) pauseEndMs = now.monotonicMs;
    last = now;
  }

  const timer = setInterval(look, TICK_MS).unref();
  return {
    pausedSince(atMs) {
      // After a pause, what a socket has to say may come before the timer.
      look();
      return pauseEndMs > atMs;
    },
    stop: () => clearInterval(timer),
  };
}
