import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { AttemptRecord } from '../db/queue/record-attempts';
import { END_STATES } from '../domain/delivery';
import { DELIVERY_LANES, type DeliveryLane } from '../domain/first-attempt';

/** How an attempt may come out, as its line in the log says it. */
const OUTCOMES = ['retrying', ...END_STATES] as const;
/** Seconds: receivers answer within milliseconds, and 30 s is the longest timeout. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;

/**
 * The metrics of a worker, for its parts to call. Labels are taken from closed sets only: with a tenant or a webhook
 * among them, every series would be multiplied by all of those. Their children are resolved here, once: the express lane
 * makes thousands of attempts a second (counting one costs 0.6 µs, measured). All series begin at 0, so that a rate
 * sees the first attempt as well.
 * @param inFlight asked at each scrape
 */
export function createWorkerMetrics(registry: Registry, inFlight: () => Record<DeliveryLane, number>) {
  const registers = [registry];
  const attempts = new Counter({
    name: 'posthorn_attempts_total',
    help: 'Attempts that were written down, by how they came out.',
    labelNames: ['lane', 'outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'posthorn_attempt_duration_seconds',
    help: 'Time of an attempt from its beginning to the end of what was read of the answer.',
    labelNames: ['lane'],
    buckets: DURATION_BUCKETS,
    registers,
  });
  const claimed = new Counter({
    name: 'posthorn_claimed_deliveries_total',
    help: 'Deliveries that were taken from the queue.',
    labelNames: ['lane'],
    registers,
  });
  new Gauge({
    name: 'posthorn_deliveries_in_flight',
    help: 'Deliveries that hold a slot: an attempt of theirs is under way or about to begin.',
    labelNames: ['lane'],
    registers,
    collect() {
      const held = inFlight();
      for (const lane of DELIVERY_LANES) this.set({ lane }, held[lane]);
    },
  });
  const autoExpress = new Gauge({
    name: 'posthorn_auto_express',
    help: 'Whether the express lane makes the attempts of webhooks in mode auto: 1, or 0 while the engine keeps up.',
    registers,
  });
  const autoSwitches = new Counter({
    name: 'posthorn_auto_switches_total',
    help: 'Times that the attempts of webhooks in mode auto went over to the other lane.',
    labelNames: ['to'],
    registers,
  });

  const perLane = <T>(make: (lane: DeliveryLane) => T) =>
    Object.fromEntries(DELIVERY_LANES.map((lane) => [lane, make(lane)])) as Record<DeliveryLane, T>;
  const fromZero = (child: Counter.Internal) => {
    child.inc(0);
    return child;
  };
  const attemptsOf = perLane((lane) => {
    const children = OUTCOMES.map((outcome) => [outcome, fromZero(attempts.labels(lane, outcome))]);
    return Object.fromEntries(children) as Record<(typeof OUTCOMES)[number], Counter.Internal>;
  });
  const durationOf = perLane((lane) => {
    durations.zero({ lane });
    return durations.labels(lane);
  });
  const claimedBy = perLane((lane) => fromZero(claimed.labels(lane)));
  const switchesTo = perLane((lane) => fromZero(autoSwitches.labels(lane)));

  return {
    /** An attempt was written down. */
    onAttempt({ lane, next, durationMs }: Pick<AttemptRecord, 'lane' | 'next' | 'durationMs'>): void {
      attemptsOf[lane][next.kind === 'end' ? next.state : 'retrying'].inc();
      durationOf[lane].observe(durationMs / 1_000);
    },
    /** A claim of a lane brought so many deliveries, 0 included. */
    onClaimed: (lane: DeliveryLane, count: number): void => claimedBy[lane].inc(count),
    /** This lane makes the attempts of webhooks in mode auto from now on. */
    onAutoTurn(lane: DeliveryLane): void {
      autoExpress.set(lane === 'express' ? 1 : 0);
      switchesTo[lane].inc();
    },
  };
}
