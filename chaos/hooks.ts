/** How an endpoint behaves, and the settings of the webhook that points to it. */
export type HookKind =
  | 'fast'
  | 'slow'
  | 'slower'
  | 'flaky'
  | 'throttling'
  | 'hanging'
  | 'closing'
  | 'gone'
  | 'ordered'
  | 'limited'
  | 'parked'
  | 'doomed';

/** What an endpoint does about a request: after so long it answers, breaks off, or says nothing at all. */
export type Reaction = { afterMs: number; answer: { status: number; retryAfter?: number } | 'reset' | 'hang' };

type Spec = {
  /** Of a tenant's events, beside the others. */
  weight: number;
  /** `chance` is a number from 0 to 1 that belongs to the delivery; `nth` counts its requests from 1. */
  react: (nth: number, chance: number) => Reaction;
  settings?: Record<string, unknown>;
};

const answer = (status: number, afterMs = 0): Reaction => ({ afterMs, answer: { status } });
const ok = answer(204);

/** Waits between attempts: enough of them that only an endpoint that never takes it makes a delivery fail. */
const SCHEDULE = ['1s', '1s', '2s', '2s', '3s', '5s', '5s', '10s'];
export const MAX_ATTEMPTS = SCHEDULE.length + 1;

/** Short times, so that a storm of a minute sees breakers open and close. */
export const COMMON_SETTINGS = {
  retry_policy: { schedule: SCHEDULE, jitter: 0.1 },
  circuit_breaker: { failures: 20, window: '60s', open_for: '2s' },
  disable_after: null,
};

export const HOOKS: Record<HookKind, Spec> = {
  fast: { weight: 30, react: () => ok },
  slow: { weight: 8, react: () => answer(200, 2_000) },
  // Longer than the engine takes a worker for dead, and than a statement may take.
  slower: { weight: 3, react: () => answer(200, 12_000), settings: { timeout: '20s' } },
  // Without a breaker: of a backlog each probe would fail, and it would let one through every few seconds.
  flaky: { weight: 12, react: (nth) => (nth <= 2 ? answer(503) : ok), settings: { circuit_breaker: null } },
  throttling: {
    weight: 4,
    react: (nth, chance) => (nth === 1 && chance < 0.4 ? { afterMs: 0, answer: { status: 429, retryAfter: 1 } } : ok),
  },
  hanging: {
    weight: 4,
    react: (nth, chance) => (nth === 1 && chance < 0.5 ? { afterMs: 0, answer: 'hang' } : ok),
    settings: { timeout: '2s' },
  },
  closing: { weight: 6, react: (nth) => (nth === 1 ? { afterMs: 50, answer: 'reset' } : ok) },
  gone: { weight: 2, react: (_, chance) => (chance < 0.1 ? answer(410) : ok) },
  ordered: {
    weight: 0, // published one after the other
    react: (nth, chance) => (nth === 1 && chance < 0.15 ? answer(503) : answer(200, 20)),
    settings: { ordered: true },
  },
  limited: { weight: 5, react: () => ok, settings: { rate_limit: '20/2s' } },
  // Paused half way and left so.
  parked: { weight: 2, react: () => ok },
  // Deleted at some time.
  doomed: { weight: 4, react: (nth) => (nth === 1 ? answer(503) : answer(200, 300)) },
};

/** Events of this type go to three webhooks of their tenant. */
export const SHARED_TYPE = 'chaos.shared';
export const SHARED_WEIGHT = 10;
const SHARERS: readonly HookKind[] = ['fast', 'flaky', 'slow'];

export const typeOf = (kind: HookKind): string => `chaos.${kind}`;
export const patternsOf = (kind: HookKind): string[] => [
  typeOf(kind),
  ...(SHARERS.includes(kind) ? [SHARED_TYPE] : []),
];

/** Whose webhooks there are. */
export const TENANTS: readonly (readonly HookKind[])[] = [
  ['fast', 'slow', 'slower', 'flaky', 'throttling', 'hanging', 'closing', 'gone', 'ordered', 'limited', 'doomed'],
  ['fast', 'slow', 'flaky', 'closing', 'ordered', 'parked', 'doomed'],
  ['fast', 'slow', 'slower', 'flaky', 'hanging'],
];
