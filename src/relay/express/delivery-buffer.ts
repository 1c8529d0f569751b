import { RecentCount } from '../../concurrency/recent-count';

/** The prefetch limit is what was delivered within this time. */
const WINDOW_MS = 50;
const MAX_PREFETCH = 200;

/**
 * Claimed deliveries of one webhook that wait in this process for their attempts, first in, first out; and what the path
 * knows of the webhook: whether an attempt has just failed, how fast its endpoint answers, whether there is more to claim.
 */
export class DeliveryBuffer<Delivery> {
  readonly #waiting: Delivery[] = [];
  readonly #delivered: RecentCount;
  #rateLimited = false;
  #claimLimitReached = false;
  #unrecordedFailures = 0;
  #backOffUntilMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs a monotonic clock */
  constructor(private readonly nowMs = () => performance.now()) {
    this.#delivered = new RecentCount(WINDOW_MS, nowMs);
  }

  /** Adds a delivery, with what its claim said of the webhook. */
  push(delivery: Delivery, { rateLimited }: { rateLimited: boolean }): void {
    this.#rateLimited = rateLimited;
    this.#waiting.push(delivery);
  }

  /** How many wait here. */
  get size(): number {
    return this.#waiting.length;
  }

  /** The one that has waited longest, whether it may be sent or not. */
  get oldest(): Delivery | undefined {
    return this.#waiting[0];
  }

  /**
   * The one to send next; it stays here until {@link shift}. None while a failed attempt is not recorded: only then is it
   * known whether the webhook's gate still passes.
   */
  get next(): Delivery | undefined {
    return this.#unrecordedFailures === 0 ? this.oldest : undefined;
  }

  /** Removes the oldest. */
  shift(): Delivery | undefined {
    return this.#waiting.shift();
  }

  /** Removes all. */
  drain(): Delivery[] {
    return this.#waiting.splice(0);
  }

  /**
   * What cannot be sent at once must not wait here: the claim took its token of the rate limit, and if it were sent later,
   * it would come too close to the next.
   */
  get rateLimited(): boolean {
    return this.#rateLimited;
  }

  /**
   * How many may be claimed beyond the webhook's cap, to wait here: as many as were delivered within the last moment. So a
   * quick endpoint never waits for a claim, and nothing waits here for long while the queue cannot see it.
   */
  get prefetchLimit(): number {
    if (this.#rateLimited) return 0;
    return Math.min(MAX_PREFETCH, this.#delivered.value);
  }

  /** Called after each attempt that succeeded, before it is recorded. */
  onDelivered(): void {
    this.#delivered.add();
  }

  /** Called after each attempt that failed, before it is recorded. Returns what is to be called once it is recorded. */
  onFailed(): () => void {
    this.#unrecordedFailures++;
    return () => {
      this.#unrecordedFailures--;
    };
  }

  /** Nothing is claimed for the webhook for this long. Returns whether that is new. */
  backOff(forMs: number): boolean {
    const isNew = !this.backsOff;
    this.#backOffUntilMs = this.nowMs() + forMs;
    return isNew;
  }

  get backsOff(): boolean {
    return this.nowMs() < this.#backOffUntilMs;
  }

  /**
   * Called after each claim, with how many deliveries of the webhook it brought and how many it might have. A claim that
   * brought none, of a webhook that was not sure to get any, tells nothing.
   */
  noteClaim(got: number, allowed: number): void {
    if (got > 0 || allowed > 0) this.#claimLimitReached = got >= allowed;
  }

  /** There may be more in the queue, and most of what was claimed has gone. */
  get wantsMore(): boolean {
    return this.#claimLimitReached && this.size <= this.prefetchLimit / 2;
  }

  /** Forgetting this buffer loses nothing. */
  get isIdle(): boolean {
    return this.size === 0 && this.prefetchLimit === 0 && this.#unrecordedFailures === 0 && !this.backsOff;
  }
}
