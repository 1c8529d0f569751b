/** Thrown if a request asks for more work than one may. */
export class TooCostlyError extends Error {
  override readonly name = 'TooCostlyError';

  constructor(readonly limit: number) {
    super('the request costs too much');
  }
}

/** Units between two moments at which others may be let in: some tenths of a millisecond. */
const PAUSE_UNITS = 2_000;

/**
 * What one request may cost. Work is counted, not timed, so that the same request always gets the same answer, however
 * busy or slow the machine is. A unit is some 0.1 µs: a comparison, a step of a check.
 */
export class WorkBudget {
  #spent = 0;
  #pauseAt = PAUSE_UNITS;

  constructor(readonly limit: number) {}

  get spent(): number {
    return this.#spent;
  }

  /** @throws TooCostlyError */
  spend(units: number): void {
    this.#spent += units;
    if (this.#spent > this.limit) throw new TooCostlyError(this.limit);
  }

  /** Whether enough was done since the last look at the clock to look again. */
  isTimeToPause(): boolean {
    if (this.#spent < this.#pauseAt) return false;
    this.#pauseAt = this.#spent + PAUSE_UNITS;
    return true;
  }
}

/** Work in steps: at each yield, other work may run. */
export type Steps<T> = Generator<void, T>;

/** Work that cannot be divided. */
// biome-ignore lint/correctness/useYield: it is a single step
export function* oneStep<T>(work: () => T): Steps<T> {
  return work();
}

/** All steps at once, for work that is known to be short. */
export function allAtOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
