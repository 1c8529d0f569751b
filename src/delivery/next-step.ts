import type { AttemptNext } from '../db/queue/record-attempts';
import type { SchedulePosition, Verdict } from '../domain/classify';
import type { Sendable } from './sendable';
import type { AttemptRequest } from './types';

/**
 * A manual attempt in the middle of a wait keeps that wait, whether it was made from the workflow's timer or claimed from
 * the queue; every other attempt uses up a step of the schedule. `postMs` is how long the POST took: `queue` was read before.
 */
export function positionOf(
  { queue }: Pick<Sendable, 'queue'>,
  { cause }: AttemptRequest,
  postMs: number,
): SchedulePosition {
  const manual = queue.timed ? cause === 'manual' : queue.trigger === 'manual' && queue.waits;
  const elapsedMs = queue.elapsedMs + postMs;
  if (manual) return { kind: 'manual', remainingWaitMs: Math.max(0, queue.remainingMs - postMs), elapsedMs };
  return { kind: 'scheduled', attemptsMade: queue.step + 1, elapsedMs, random: Math.random() };
}

/** What the record of an attempt with this verdict does to its delivery. */
export function toNext(verdict: Verdict, position: SchedulePosition): AttemptNext {
  switch (verdict.kind) {
    case 'delivered':
      return { kind: 'end', state: 'delivered', because: null };
    case 'failed':
      return { kind: 'end', state: 'failed', because: verdict.reason };
    case 'retry':
      if (position.kind === 'scheduled') return { kind: 'wait', waitMs: verdict.waitMs };
      return verdict.waitMs > position.remainingWaitMs
        ? { kind: 'keep_waiting', atLeastMs: verdict.waitMs }
        : { kind: 'keep_waiting' };
  }
}
