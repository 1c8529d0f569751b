/** Another live worker may be sending this attempt. A later load finds its record. */
export class HeldElsewhere extends Error {
  override readonly name = 'HeldElsewhere';
  constructor() {
    super('another worker that lives holds this attempt');
  }
}

/** What was loaded may be out of date, and nothing was sent. */
export class StaleAttempt extends Error {
  override readonly name = 'StaleAttempt';
  constructor() {
    super('this process was stopped between load and POST');
  }
}

/** Whether this process stood still. See {@link watchPauses}. */
export type Pauses = {
  /** @param atMs on the clock of `performance.now()` */
  pausedSince(atMs: number): boolean;
  stop(): void;
};

const TICK_MS = 250;
/** A process whose tick is late by more than this stood still: stopped, suspended, or busy with one thing. */
const PAUSE_MS = 2_000;

/**
 * Detects times in which this process did nothing: SIGSTOP, the lid of a laptop, a virtual machine that is paused. By then
 * another worker may hold what it held. Both clocks are read: the monotonic one of some systems stands still while the
 * machine sleeps, and the other one can be set back.
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
      // After a pause, data on a socket may be handled before the timer.
      look();
      return pauseEndMs > atMs;
    },
    stop: () => clearInterval(timer),
  };
}
