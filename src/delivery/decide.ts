import type { AttemptContext, GateFacts } from '../db/queue/load-attempt';
import type { AttemptCause, AttemptRequest, AttemptResult, AttemptSummary } from './types';

/** A delivery that is not ended and whose webhook exists, with its gate. */
export type LiveDelivery = AttemptContext & Required<Pick<AttemptContext, 'queue' | 'webhook'>>;

/** What to do about an attempt that was asked for, once its facts are loaded. */
export type Decision =
  | { do: 'send'; facts: LiveDelivery }
  | { do: 'answer'; result: AttemptResult }
  /** The gate is shut: give the delivery back to the queue. */
  | { do: 'requeue' }
  /** Its webhook is gone, or an operator asked for it while an attempt was under way that came to nothing. */
  | { do: 'cancel'; because: 'deleted' | 'asked' }
  /** Another worker that lives may be sending it. */
  | { do: 'leave' }
  /** Someone came between: look again. */
  | { do: 'reload' }
  /** Ended, and an operator wants it sent again. */
  | { do: 'reopen' };

/**
 * Decides whether attempt `number` is to be made. The record in Postgres has the word: an attempt that stands there
 * is answered, never repeated, and a delivery that has ended or waits is left alone.
 */
export function decide(facts: AttemptContext | undefined, { number, cause, anew }: AttemptRequest): Decision {
  // Its week was dropped by retention: nothing is left to send.
  if (!facts) return { do: 'answer', result: { kind: 'cancelled' } };
  const { queue, webhook, recorded } = facts;
  const last = recorded && summaryOfRecorded(number, recorded);
  if (!queue) {
    // What an operator asked for before they cancelled it, the cancel has met.
    const wanted = cause === 'manual' && (anew || facts.state !== 'cancelled');
    if (wanted && !recorded && facts.state !== 'pending') return { do: 'reopen' };
    return { do: 'answer', result: { kind: facts.state === 'pending' ? 'cancelled' : facts.state, last } };
  }
  // The relay makes its attempt, and starts a run or wakes this one if it does not succeed.
  if (queue.heldBy === 'express') return { do: 'answer', result: { kind: 'requeued' } };
  const waits = {
    kind: 'retry',
    waitMs: queue.timed ? queue.remainingMs : 0,
    kept: false,
    attempt: queue.attempt,
  } as const;
  if (recorded) return { do: 'answer', result: { ...waits, last } };
  if (queue.attempt !== number - 1) return { do: 'answer', result: waits };
  if (queue.timed && cause === 'claimed') return { do: 'answer', result: waits };
  if (queue.movedAway) return { do: 'answer', result: { ...waits, moves: queue.moves } };
  if (queue.heldBy === 'other') return { do: 'leave' };
  if (queue.cancelAsked) return { do: 'cancel', because: 'asked' };
  if (!webhook) return { do: 'cancel', because: 'deleted' };
  if (!facts.fenced) return { do: 'reload' };
  if (isShut(webhook.gate, cause)) return { do: 'requeue' };
  return { do: 'send', facts: { ...facts, queue, webhook } };
}

/**
 * Whether the gate lets this attempt through, apart from turns and room that it has yet to take. Nobody's wish opens a
 * gate: an attempt that an operator asks for waits in the queue with its reason shown.
 */
function isShut({ status, unverified, throttled, breaker, hasSlot }: GateFacts, cause: AttemptCause): boolean {
  if (status !== 'active' || unverified || throttled) return true;
  switch (breaker) {
    case 'closed':
      return false;
    case 'open':
      return true;
    case 'half_open':
      // The probe is whom the claim gave the slot.
      return !(cause === 'claimed' && hasSlot);
  }
}

function summaryOfRecorded(number: number, recorded: NonNullable<AttemptContext['recorded']>): AttemptSummary {
  return {
    number,
    ...(recorded.statusCode !== null && { statusCode: recorded.statusCode }),
    ...(recorded.errorCode !== null && { errorCode: recorded.errorCode }),
  };
}
