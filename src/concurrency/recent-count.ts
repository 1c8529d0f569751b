/** How often something happened lately: the larger count of this window and the one before it. */
export class RecentCount {
  #windowStart = Number.NEGATIVE_INFINITY;
  #count = 0;
  #before = 0;

  /**
   * @param windowMs the length of a window, milliseconds
   * @param nowMs a monotonic clock
   */
  constructor(
    private readonly windowMs: number,
    private readonly nowMs = () => performance.now(),
  ) {}

  /** Counts one more. */
  add(): void {
    this.#rotate();
    this.#count++;
  }

  get value(): number {
    this.#rotate();
    return Math.max(this.#count, this.#before);
  }

  #rotate(): void {
    const now = this.nowMs();
    const passedMs = now - this.#windowStart;
    if (passedMs < this.windowMs) return;
    this.#before = passedMs < 2 * this.windowMs ? this.#count : 0;
    this.#count = 0;
    this.#windowStart = now;
  }
}
