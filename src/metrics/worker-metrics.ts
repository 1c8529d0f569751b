import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { AttemptRecord } from '../db/queue/record-attempts';
import { END_STATES } from '../domain/delivery';
import { DELIVERY_PATHS, type DeliveryPath } from '../domain/delivery-mode';

/** The outcomes of an attempt, as in its line in the log. */
const OUTCOMES = ['retrying', ...END_STATES] as const;
/** Seconds: receivers answer within milliseconds, and 30 s is the longest timeout. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

function fromZero<T extends Counter | Counter.Internal>(counter: T): T {
  counter.inc(0);
  return counter;
}

export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;

/**
 * The metrics of a worker, for its parts to call. Labels are taken from closed sets only: with a tenant or a webhook
 * among them, every series would be multiplied by all of those. Their children are resolved here, once: the express path
 * makes thousands of attempts a second (counting one costs 0.6 µs, measured). All series begin at 0, so that a rate
 * sees the first attempt as well.
 * @param inFlight called at each scrape
 */
export function createWorkerMetrics(registry: Registry, inFlight: () => Record<DeliveryPath, number>) {
  const registers = [registry];
  const attempts = new Counter({
    name: 'posthorn_attempts_total',
    help: 'Recorded attempts, by outcome.',
    labelNames: ['path', 'outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'posthorn_attempt_duration_seconds',
    help: 'Time from the beginning of an attempt until its answer was read.',
    labelNames: ['path'],
    buckets: DURATION_BUCKETS,
    registers,
  });
  const claimed = new Counter({
    name: 'posthorn_claimed_deliveries_total',
    help: 'Deliveries that were claimed.',
    labelNames: ['path'],
    registers,
  });
  new Gauge({
    name: 'posthorn_deliveries_in_flight',
    help: 'Deliveries that hold a slot: an attempt is under way or about to begin.',
    labelNames: ['path'],
    registers,
    collect() {
      const held = inFlight();
      for (const path of DELIVERY_PATHS) this.set({ path }, held[path]);
    },
  });
  const autoExpress = new Gauge({
    name: 'posthorn_auto_express',
    help: 'Whether the express path makes the attempts of webhooks in mode auto: 1, or 0 while Temporal keeps up.',
    registers,
  });
  const autoSwitches = new Counter({
    name: 'posthorn_auto_switches_total',
    help: 'Times that mode auto switched to the other path.',
    labelNames: ['to'],
    registers,
  });

  const resent = fromZero(
    new Counter({
      name: 'posthorn_requests_resent_total',
      help: 'Requests sent again inside their attempt, because the receiver was closing the connection they went out on.',
      registers,
    }),
  );

  const perPath = <T>(make: (path: DeliveryPath) => T) =>
    Object.fromEntries(DELIVERY_PATHS.map((path) => [path, make(path)])) as Record<DeliveryPath, T>;
  const attemptsOf = perPath((path) => {
    const children = OUTCOMES.map((outcome) => [outcome, fromZero(attempts.labels(path, outcome))]);
    return Object.fromEntries(children) as Record<(typeof OUTCOMES)[number], Counter.Internal>;
  });
  const durationOf = perPath((path) => {
    durations.zero({ path });
    return durations.labels(path);
  });
  const claimedBy = perPath((path) => fromZero(claimed.labels(path)));
  const switchesTo = perPath((path) => fromZero(autoSwitches.labels(path)));

  return {
    /** Called after an attempt was recorded. */
    onAttempt({ path, next, durationMs }: Pick<AttemptRecord, 'path' | 'next' | 'durationMs'>): void {
      attemptsOf[path][next.kind === 'end' ? next.state : 'retrying'].inc();
      durationOf[path].observe(durationMs / 1_000);
    },
    /** Called when a request is sent again on a fresh connection. */
    onResend: (): void => resent.inc(),
    /** Called after each claim of a path, with the number of deliveries it took, 0 included. */
    onClaimed: (path: DeliveryPath, count: number): void => claimedBy[path].inc(count),
    /** Called when this path takes over the attempts of webhooks in mode auto. */
    onAutoSwitch(path: DeliveryPath): void {
      autoExpress.set(path === 'express' ? 1 : 0);
      switchesTo[path].inc();
    },
  };
}
