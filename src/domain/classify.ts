import { retryAfterMs, SHORTEST_THROTTLE_MS } from './retry-after';
import { keptWaitMs, nextWaitMs, type RetryPolicy } from './retry-schedule';

/** What one POST brought back, as far as the rules need it. */
export type PostResult =
  | {
      statusCode: number;
      /** What the receiver asked for by Retry-After, milliseconds. */
      retryAfterMs?: number | undefined;
    }
  | { errorCode: string /** Our own rules forbade it. */; blocked: boolean };

/** Why a delivery failed. `client_error`: a 4xx of a webhook whose policy is not to repeat those. */
export const FAILED_BECAUSE = ['exhausted', 'gone', 'blocked', 'client_error'] as const;
export type FailedBecause = (typeof FAILED_BECAUSE)[number];

/** What follows from an attempt. */
export type Verdict =
  | { kind: 'delivered' }
  | { kind: 'failed'; reason: FailedBecause }
  | { kind: 'retry'; waitMs: number };

/**
 * Where in its schedule an attempt stands: a scheduled one uses up a step, a manual one keeps the wait that was running, which
 * only the receiver may lengthen.
 */
export type SchedulePosition =
  | {
      kind: 'scheduled';
      attemptsMade: number;
      /** Since the first attempt of this schedule, milliseconds. */
      elapsedMs: number;
      random: number;
    }
  | { kind: 'manual'; remainingWaitMs: number; elapsedMs: number };

/** 2xx is success (Standard Webhooks 1.0.0); redirects are never followed and count as failures. */
export function isSuccess(result: PostResult): boolean {
  return 'statusCode' in result && result.statusCode >= 200 && result.statusCode <= 299;
}

/**
 * Decides what follows from an attempt.
 * 410 Gone ends the delivery (the receiver asks for no more); a blocked address will be blocked next time as well.
 */
export function classify(result: PostResult, policy: RetryPolicy, position: SchedulePosition): Verdict {
  if (isSuccess(result)) return { kind: 'delivered' };
  if ('statusCode' in result && result.statusCode === 410) return { kind: 'failed', reason: 'gone' };
  if ('errorCode' in result && result.blocked) return { kind: 'failed', reason: 'blocked' };
  if (policy.clientErrors === 'fail' && isClientError(result)) return { kind: 'failed', reason: 'client_error' };
  const retryAfterMs = 'statusCode' in result ? result.retryAfterMs : undefined;
  const waitMs =
    position.kind === 'manual'
      ? keptWaitMs(policy, { ...position, retryAfterMs })
      : nextWaitMs(policy, { ...position, retryAfterMs });
  return waitMs === undefined ? { kind: 'failed', reason: 'exhausted' } : { kind: 'retry', waitMs };
}

/** 4xx that will not change by itself; 408, 425 and 429 ask for another try (RFC 9110, RFC 8470, RFC 6585). */
function isClientError(result: PostResult): boolean {
  if (!('statusCode' in result)) return false;
  const { statusCode } = result;
  return statusCode >= 400 && statusCode <= 499 && ![408, 425, 429].includes(statusCode);
}

/** Errors that mean that the endpoint takes too long: its cap is halved. */
const TIMEOUTS = new Set(['headers_timeout', 'connect_timeout', 'tls_timeout']);
/** Recorded by versions that did not yet retry such requests unsent; a workflow of theirs may still bring one. */
const OUR_OWN = new Set(['no_free_connection']);
/** Overload, said by the receiver or a gateway before it (RFC 6585 4, RFC 9110 15.6.3 and 15.6.5). */
const THROTTLING = new Set([429, 502, 504]);

/**
 * The pause that an answer asks for by Retry-After, milliseconds. One that cannot be read asks for the shortest throttle;
 * beside a status that throttles anyway it says nothing more, and the gate's own back-off grows.
 */
export function askedPauseMs(statusCode: number, header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  return retryAfterMs(header, nowMs, THROTTLING.has(statusCode) ? null : SHORTEST_THROTTLE_MS);
}

/** What an attempt says about its endpoint's health; the webhook's gate goes by it. */
export type HealthSignal = {
  /**
   * `busy`: it asked for a pause, which it gets; that alone does not open its breaker.
   * `none`: nothing was sent.
   */
  health: 'good' | 'bad' | 'busy' | 'none';
  timedOut: boolean;
  /** Throttle the webhook: for this long if the receiver said so, else with the gate's own back-off. */
  slowDown?: { retryAfterMs: number | undefined };
  gone: boolean;
};

/** The health signal of an attempt. */
export function healthSignalOf(result: PostResult): HealthSignal {
  if ('errorCode' in result) {
    const { errorCode, blocked } = result;
    return {
      health: blocked || OUR_OWN.has(errorCode) ? 'none' : 'bad',
      timedOut: TIMEOUTS.has(errorCode),
      gone: false,
    };
  }
  const { statusCode, retryAfterMs } = result;
  if (isSuccess(result)) return { health: 'good', timedOut: false, gone: false };
  const slowDown = retryAfterMs !== undefined || THROTTLING.has(statusCode);
  return {
    health: retryAfterMs !== undefined || statusCode === 429 ? 'busy' : 'bad',
    timedOut: false,
    gone: statusCode === 410,
    ...(slowDown && { slowDown: { retryAfterMs } }),
  };
}
