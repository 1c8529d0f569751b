/** How often something has happened within the last moment: as much as there was in this window or the one before it. */
export class RecentCount {
  #windowStart = Number.NEGATIVE_INFINITY;
  #count = 0;
  #before = 0;

  /** @param windowMs the length of a window, milliseconds */
  constructor(private readonly windowMs: number) {}

  /** It has happened once more. */
  add(): void {
    this.#turn();
    this.#count++;
  }

  get value(): number {
    this.#turn();
    return Math.max(this.#count, this.#before);
  }

  #turn(): void {
    const now = performance.now();
    const passedMs = now - this.#windowStart;
    if (passedMs < this.windowMs) return;
    this.#before = passedMs < 2 * this.windowMs ? this.#count : 0;
    this.#count = 0;
    this.#windowStart = now;
  }
}
