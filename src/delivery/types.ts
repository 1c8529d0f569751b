import type { AttemptCause, EndState, Trigger } from '../domain/delivery';

export type { AttemptCause } from '../domain/delivery';

/**
 * What passes between workflow and attempt. Only ids, numbers and codes: everything here is kept in Temporal.
 */

export type AttemptRequest = {
  /** uuid */
  deliveryId: string;
  /** uuid; those of workflows that began before it was told have none. */
  tenantId?: string;
  /** The number this attempt gets if it is made; with the delivery it is the attempt's key. */
  number: number;
  cause: AttemptCause;
  /** `manual` only: asked for when the delivery had ended, however it had. */
  anew?: true;
  /** `due` only: how often an operator had moved its time, as far as the workflow knows. */
  moves?: number;
};

/** What came back, as far as the workflow keeps it. */
export type AttemptSummary = { number: number; statusCode?: number; errorCode?: string };

export type AttemptResult =
  /** Ended, by this attempt or before it. */
  | { kind: EndState; last?: AttemptSummary }
  /** To be made again after the wait; `kept` = the wait that was running goes on. `attempt` = attempts made so far. */
  | { kind: 'retry'; waitMs: number; kept: boolean; attempt: number; last?: AttemptSummary; moves?: number }
  /** The gate was shut: the row is back in the queue and nothing was sent. */
  | { kind: 'requeued' }
  /**
   * The POST goes on in the worker, which will signal `attemptDone`, or in another one; if nothing is heard by then, the
   * attempt is asked for again.
   */
  | { kind: 'in_flight'; number: number; waitMs: number }
  /** A POST was made and Postgres did not take the record: only the recording is to be repeated. */
  | { kind: 'unrecorded'; record: UnrecordedAttempt };

/** Enough of a made attempt to write it down later, from any worker. */
export type UnrecordedAttempt = {
  /** uuid; absent from those made before it was told. */
  attemptId?: string;
  /** Under which id its worker holds it. */
  holder?: number;
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
