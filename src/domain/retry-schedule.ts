/**
 * How long a delivery waits between scheduled attempts. Pure: the caller gives the clock and the random number.
 * Manual attempts do not use up the schedule; `attemptsMade` counts scheduled ones.
 */
export type RetryPolicy = {
  /** Waits in milliseconds; an endpoint gets one attempt more than there are waits. */
  readonly waitsMs: readonly number[];
  /** Fraction by which a wait may be longer, 0 to 1: spreads the retries of many deliveries. */
  readonly jitter: number;
  /** No attempt is scheduled later than this after the first one; absent = only the schedule ends it. */
  readonly maxDurationMs?: number;
  /** `fail`: a 4xx that will not change by itself ends the delivery at once. */
  readonly clientErrors: 'retry' | 'fail';
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

export const DEFAULT_JITTER = 0.2;
export const MAX_WAITS = 50;
/** No wait is longer than a week, so that a typing error does not become a silent year. */
export const MAX_WAIT_MS = 7 * 24 * H;
export const MAX_DURATION_MS = 30 * 24 * H;

type Exponential = { initial_ms: number; factor: number; max_interval_ms: number; max_attempts: number };

/** A preset's name (so that a better preset reaches everyone), own waits, or the numbers of a growing interval. */
export type StoredRetryWaits = { preset: RetryPreset } | { schedule_ms: number[] } | Exponential;

/** How a webhook's policy is stored. */
export type StoredRetryPolicy = StoredRetryWaits & {
  jitter?: number | undefined;
  max_duration_ms?: number | undefined;
  client_errors?: 'retry' | 'fail' | undefined;
};

export function toRetryPolicy(stored: StoredRetryPolicy): RetryPolicy {
  return {
    waitsMs: waitsOf(stored),
    jitter: stored.jitter ?? DEFAULT_JITTER,
    ...(stored.max_duration_ms !== undefined && { maxDurationMs: stored.max_duration_ms }),
    clientErrors: stored.client_errors ?? 'retry',
  };
}

function waitsOf(stored: StoredRetryWaits): readonly number[] {
  if ('preset' in stored) return RETRY_PRESETS[stored.preset];
  if ('schedule_ms' in stored) return stored.schedule_ms;
  return Array.from({ length: stored.max_attempts - 1 }, (_, i) =>
    Math.round(Math.min(stored.initial_ms * stored.factor ** i, stored.max_interval_ms)),
  );
}

export type RetryMoment = {
  /** Scheduled attempts so far, at least 1. */
  attemptsMade: number;
  /** Since the first attempt of this cycle, milliseconds. */
  elapsedMs: number;
  /** In [0, 1). */
  random: number;
  /** What the receiver asked for by Retry-After, milliseconds. */
  retryAfterMs?: number | undefined;
};

/** Receivers may ask for more time, within reason; a year asked for by mistake must not strand a delivery. */
export const MAX_RETRY_AFTER_MS = 24 * H;

/**
 * Milliseconds until the next attempt, or undefined when the schedule or its time is used up. A Retry-After lengthens
 * the wait (never shortens it), up to {@link MAX_RETRY_AFTER_MS} and the policy's own end.
 */
export function nextWaitMs(policy: RetryPolicy, moment: RetryMoment): number | undefined {
  const wait = policy.waitsMs[moment.attemptsMade - 1];
  if (wait === undefined) return undefined;
  const waitMs = Math.max(Math.round(wait * (1 + policy.jitter * moment.random)), askedMs(moment));
  return isWithinDuration(policy, moment, waitMs) ? waitMs : undefined;
}

/**
 * Milliseconds that a wait goes on after an attempt that was made in the middle of it, or undefined when the receiver asks for
 * more time than the policy has. A Retry-After counts as it does after a scheduled attempt.
 */
export function keptWaitMs(
  policy: RetryPolicy,
  moment: Pick<RetryMoment, 'elapsedMs' | 'retryAfterMs'> & { remainingWaitMs: number },
): number | undefined {
  const asked = askedMs(moment);
  if (asked <= moment.remainingWaitMs) return moment.remainingWaitMs;
  return isWithinDuration(policy, moment, asked) ? asked : undefined;
}

const askedMs = ({ retryAfterMs }: Pick<RetryMoment, 'retryAfterMs'>): number =>
  Math.min(Math.max(retryAfterMs ?? 0, 0), MAX_RETRY_AFTER_MS);

const isWithinDuration = (
  { maxDurationMs }: RetryPolicy,
  { elapsedMs }: Pick<RetryMoment, 'elapsedMs'>,
  waitMs: number,
): boolean => maxDurationMs === undefined || elapsedMs + waitMs <= maxDurationMs;
