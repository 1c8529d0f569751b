import { nextWaitMs, type RetryPolicy } from './retry-schedule';

/** What one POST brought back, as far as the rules need it. */
export type PostResult =
  | { statusCode: number }
  | { errorCode: string /** Our own rules forbade it. */; blocked: boolean };

/** What follows from an attempt. */
export type Verdict =
  | { kind: 'delivered' }
  | { kind: 'failed'; reason: 'exhausted' | 'gone' | 'blocked' }
  | { kind: 'retry'; waitMs: number };

/** A scheduled attempt uses up one step of the schedule; one made by hand keeps the wait that was running. */
export type AttemptPlace =
  | { kind: 'scheduled'; attemptsMade: number; random: number }
  | { kind: 'manual'; remainingWaitMs: number };

/** 2xx is success (Standard Webhooks 1.0.0); redirects are never followed and count as failures. */
export function isSuccess(result: PostResult): boolean {
  return 'statusCode' in result && result.statusCode >= 200 && result.statusCode <= 299;
}

/**
 * Decides what follows from an attempt.
 * 410 Gone ends the delivery (the receiver asks for no more); a blocked address will be blocked next time as well.
 */
export function classify(result: PostResult, policy: RetryPolicy, place: AttemptPlace): Verdict {
  if (isSuccess(result)) return { kind: 'delivered' };
  if ('statusCode' in result && result.statusCode === 410) return { kind: 'failed', reason: 'gone' };
  if ('errorCode' in result && result.blocked) return { kind: 'failed', reason: 'blocked' };
  if (place.kind === 'manual') return { kind: 'retry', waitMs: place.remainingWaitMs };
  const waitMs = nextWaitMs(policy, place.attemptsMade, place.random);
  return waitMs === undefined ? { kind: 'failed', reason: 'exhausted' } : { kind: 'retry', waitMs };
}
