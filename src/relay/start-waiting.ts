import { FairQueue } from '../concurrency/fair-queue';
import { type Log, reasonOf } from '../log';
import { type StartSettings, startWaiting, type WaitingDelivery } from '../temporal/start-delivery';

/** Starts at once, as in the workflow path. */
const CONCURRENCY = 16;
/**
 * What waits to be started is known only here. Of more than this, the delivery of the tenant that has most is dropped: the
 * reconciler finds it once its retry is overdue.
 */
const MAX_WAITING = 10_000;
const BACK_OFF_MS = 1_000;

/**
 * Starts a workflow for each delivery whose express attempt did not succeed: it waits for the next attempt. Starts go round
 * the tenants. While Temporal is unavailable, deliveries wait here; if this process dies first, the reconciler starts them.
 */
export function createWaitingStarts(settings: StartSettings & { log: Log }) {
  const { log } = settings;
  const waiting = new FairQueue<WaitingDelivery>(MAX_WAITING);
  const running = new Set<Promise<void>>();
  let pausedUntil = 0;
  let timer: NodeJS.Timeout | undefined;
  let stopping = false;

  function startNext(): void {
    const pauseMs = pausedUntil - performance.now();
    if (pauseMs > 0) {
      timer ??= setTimeout(() => {
        timer = undefined;
        startNext();
      }, pauseMs);
      return;
    }
    while (!stopping && running.size < CONCURRENCY && waiting.size > 0) {
      const delivery = waiting.shift()!;
      const started: Promise<void> = startWaiting(settings, delivery)
        .catch((error: unknown) => {
          log.warn({ event: 'start_failed', err: reasonOf(error) });
          pausedUntil = performance.now() + BACK_OFF_MS;
          waiting.unshift(delivery.tenantId, delivery);
        })
        .finally(() => {
          running.delete(started);
          startNext();
        });
      running.add(started);
    }
  }

  return {
    add(delivery: WaitingDelivery): void {
      waiting.push(delivery.tenantId, delivery);
      startNext();
    },
    /** Makes the starts that wait, unless one fails, and waits for those under way. */
    async stop(): Promise<void> {
      while (running.size > 0 && pausedUntil < performance.now()) await Promise.race(running);
      stopping = true;
      clearTimeout(timer);
      await Promise.allSettled(running);
    },
  };
}
