import type { EndState, Trigger } from '../domain/delivery';

/**
 * What passes between workflow and attempt. Only ids, numbers and codes: everything here is kept in Temporal.
 */

/**
 * Why the attempt is made now:
 * - `claimed`: the relay took the row from the queue; a row that waits for its timer is left waiting
 * - `due`: its timer fired
 * - `manual`: an operator asked; made whatever the schedule says
 */
export type AttemptCause = 'claimed' | 'due' | 'manual';

export type AttemptRequest = {
  /** uuid */
  deliveryId: string;
  /** The number this attempt gets if it is made; with the delivery it is the attempt's key. */
  number: number;
  cause: AttemptCause;
};

/** What came back, as far as the workflow keeps it. */
export type AttemptFact = { number: number; statusCode?: number; errorCode?: string };

export type AttemptResult =
  /** Ended, by this attempt or before it. */
  | { kind: EndState; last?: AttemptFact }
  /** To be made again after the wait; `kept` = the wait that was running goes on. `attempt` = attempts made so far. */
  | { kind: 'retry'; waitMs: number; kept: boolean; attempt: number; last?: AttemptFact }
  /** The gate was shut: the row is back in the queue and nothing was sent. */
  | { kind: 'requeued' }
  /** The POST goes on in the worker, which will signal `attemptDone`; if it has not by then, it is gone. */
  | { kind: 'in_flight'; number: number; waitMs: number }
  /** A POST was made and Postgres did not take the record: only the recording is to be repeated. */
  | { kind: 'unrecorded'; record: UnrecordedAttempt };

/** Enough of a made attempt to write it down later, from any worker. */
export type UnrecordedAttempt = {
  deliveryId: string;
  number: number;
  cause: AttemptCause;
  trigger: Trigger;
  startedAtMs: number;
  durationMs: number;
  statusCode?: number;
  errorCode?: string;
  blocked?: true;
  retryAfterMs?: number;
};
