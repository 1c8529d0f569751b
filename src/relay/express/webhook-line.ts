import { RecentCount } from '../../concurrency/recent-count';
import type { ExpressDelivery } from '../../db/queue/claim-express';

const WINDOW_MS = 50;
const MAX_AHEAD = 200;

/** Claimed deliveries of one webhook that wait here for their turn, and how fast its endpoint takes them. */
export class WebhookLine {
  readonly waiting: ExpressDelivery[] = [];
  /** Attempts that failed and are not written down yet: until then nobody knows whether the gate is still open. */
  failing = 0;
  /** The last claim took as many as it might: there may be more. */
  capped = false;
  /** Nothing may wait here: claimed at their rate and sent together later, attempts would come too fast. */
  paced = false;
  /** Its attempts cannot be made until then, for a reason of our own. */
  backOffUntil = Number.NEGATIVE_INFINITY;
  readonly #delivered = new RecentCount(WINDOW_MS);

  get backsOff(): boolean {
    return performance.now() < this.backOffUntil;
  }

  /** One more was delivered. */
  delivered(): void {
    this.#delivered.add();
  }

  /**
   * How many may wait here beyond the webhook's cap: as many as the endpoint took within the last moment. So an endpoint
   * that is quick always finds the next one ready, and what waits here is never long out of the queue's sight.
   */
  get ahead(): number {
    if (this.paced) return 0;
    return Math.min(MAX_AHEAD, this.#delivered.value);
  }
}
