/**
 * How long a delivery waits between scheduled attempts. Pure: the caller gives the random number.
 * Attempts made by hand do not use up the schedule; `attemptsMade` counts scheduled ones.
 */
export type RetryPolicy = {
  /** Waits in milliseconds; an endpoint gets one attempt more than there are waits. */
  readonly waitsMs: readonly number[];
  /** Fraction by which a wait may be longer, 0 to 1: spreads the retries of many deliveries. */
  readonly jitter: number;
};

const S = 1_000;
const M = 60 * S;
const H = 60 * M;

/** `standard` is the schedule that the Standard Webhooks specification suggests. */
export const RETRY_PRESETS = {
  standard: [5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H],
  quick: [1 * S, 2 * S, 4 * S, 8 * S, 16 * S],
  short: [1 * S, 5 * S, 30 * S, 2 * M, 10 * M],
  hours: [1 * M, 5 * M, 30 * M, 2 * H],
} as const satisfies Record<string, readonly number[]>;

export type RetryPreset = keyof typeof RETRY_PRESETS;

/** How a webhook's policy is stored: a preset's name or its own waits, so that a better preset reaches everyone. */
export type StoredRetryPolicy = { preset: RetryPreset; jitter?: number } | { schedule_ms: number[]; jitter?: number };

export function toRetryPolicy(stored: StoredRetryPolicy): RetryPolicy {
  return {
    waitsMs: 'preset' in stored ? RETRY_PRESETS[stored.preset] : stored.schedule_ms,
    jitter: stored.jitter ?? DEFAULT_JITTER,
  };
}

export const DEFAULT_JITTER = 0.2;
export const MAX_WAITS = 50;
/** No wait is longer than a week, so that a typing error does not become a silent year. */
export const MAX_WAIT_MS = 7 * 24 * H;

/**
 * Milliseconds until the next attempt, or undefined when the schedule is used up.
 * @param attemptsMade scheduled attempts so far, at least 1
 * @param random a number in [0, 1)
 */
export function nextWaitMs(policy: RetryPolicy, attemptsMade: number, random: number): number | undefined {
  const wait = policy.waitsMs[attemptsMade - 1];
  if (wait === undefined) return undefined;
  return Math.round(wait * (1 + policy.jitter * random));
}
