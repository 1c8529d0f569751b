import type { AttemptNext } from '../db/queue/record-attempts';
import type { SchedulePosition, Verdict } from '../domain/classify';
import type { Sendable } from './post-attempt';
import type { AttemptRequest } from './types';

/**
 * An attempt made by hand in the middle of a wait leaves that wait alone, whether a timer runs yet or the delivery was put
 * into the queue for it; every other one uses up a step. `postMs` is what the POST took, which the facts were loaded before.
 */
export function positionOf(
  { queue }: Pick<Sendable, 'queue'>,
  { cause }: AttemptRequest,
  postMs: number,
): SchedulePosition {
  const byHand = queue.timed ? cause === 'manual' : queue.trigger === 'manual' && queue.waits;
  if (byHand) return { kind: 'manual', remainingWaitMs: Math.max(0, queue.remainingMs - postMs) };
  return {
    kind: 'scheduled',
    attemptsMade: queue.step + 1,
    elapsedMs: queue.elapsedMs + postMs,
    random: Math.random(),
  };
}

/** What a verdict means for the record. */
export function toNext(verdict: Verdict, position: SchedulePosition): AttemptNext {
  switch (verdict.kind) {
    case 'delivered':
      return { kind: 'end', state: 'delivered', because: null };
    case 'failed':
      return { kind: 'end', state: 'failed', because: verdict.reason };
    case 'retry':
      return position.kind === 'manual' ? { kind: 'keep_waiting' } : { kind: 'wait', waitMs: verdict.waitMs };
  }
}
