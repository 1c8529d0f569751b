import type { AttemptContext, GateFacts } from '../db/queue/load-attempt';
import type { AttemptCause, AttemptRequest, AttemptResult, AttemptSummary } from './types';

/** A delivery that is not ended and whose webhook exists, with its gate. */
export type LiveDelivery = AttemptContext & Required<Pick<AttemptContext, 'queue' | 'webhook'>>;

/** What to do about an attempt that was asked for, once its context is loaded. */
export type Decision =
  | { do: 'send'; facts: LiveDelivery }
  | { do: 'answer'; result: AttemptResult }
  /** The gate holds: put the delivery back into the queue. */
  | { do: 'requeue' }
  /** Its webhook was deleted, or an operator cancelled it while an attempt was under way that did not succeed. */
  | { do: 'cancel'; because: 'deleted' | 'asked' }
  /** Another live worker may be sending it. */
  | { do: 'leave' }
  /** The row changed between load and fence: load again. */
  | { do: 'reload' }
  /** It has ended, and an operator asked to send it again. */
  | { do: 'reopen' };

/**
 * Decides whether attempt `number` is to be made. Postgres is the source of truth: an attempt that is recorded there is
 * answered, never repeated, and a delivery that has ended or waits is left alone.
 */
export function decide(facts: AttemptContext | undefined, { number, cause, anew }: AttemptRequest): Decision {
  // Its week was dropped by retention: nothing is left to send.
  if (!facts) return { do: 'answer', result: { kind: 'cancelled' } };
  const { queue, webhook, recorded } = facts;
  const last = recorded && summaryOfRecorded(number, recorded);
  if (!queue) {
    // A retry that was asked for before the cancel ended with it.
    const mayReopen = cause === 'manual' && (anew || facts.state !== 'cancelled');
    if (mayReopen && !recorded && facts.state !== 'pending') return { do: 'reopen' };
    return { do: 'answer', result: { kind: facts.state === 'pending' ? 'cancelled' : facts.state, last } };
  }
  // The express path makes this attempt. If it fails, it starts a workflow run or wakes this one.
  if (queue.heldBy === 'express') return { do: 'answer', result: { kind: 'requeued' } };
  const waits = {
    kind: 'retry',
    waitMs: queue.timed ? queue.remainingMs : 0,
    kept: false,
    attempt: queue.attempt,
  } as const;
  if (recorded || queue.attempt !== number - 1) {
    // An operator asked for one after it: the wait that was running goes on after that one, not from now.
    if (queue.inQueue === 'free') return { do: 'answer', result: { kind: 'requeued', last } };
    const claimed = queue.inQueue === 'claimed' && { claimed: true as const };
    return { do: 'answer', result: { ...waits, last, ...claimed } };
  }
  if (queue.timed && cause === 'claimed') return { do: 'answer', result: waits };
  if (queue.movedAway) return { do: 'answer', result: { ...waits, moves: queue.moves } };
  if (queue.heldBy === 'other') return { do: 'leave' };
  if (queue.cancelAsked) return { do: 'cancel', because: 'asked' };
  if (!webhook) return { do: 'cancel', because: 'deleted' };
  if (!facts.fenced) return { do: 'reload' };
  if (gateHolds(webhook.gate, cause)) return { do: 'requeue' };
  return { do: 'send', facts: { ...facts, queue, webhook } };
}

/**
 * Whether the gate holds this attempt back by what is known before it takes a slot: status, throttle, breaker. An
 * operator's retry does not pass a gate that holds: it waits in the queue, and the reason is shown (decision 14).
 */
function gateHolds({ status, unverified, throttled, breaker, hasSlot }: GateFacts, cause: AttemptCause): boolean {
  if (status !== 'active' || unverified || throttled) return true;
  switch (breaker) {
    case 'closed':
      return false;
    case 'open':
      return true;
    case 'half_open':
      // Only the claim makes a delivery the probe, by giving it the slot.
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
