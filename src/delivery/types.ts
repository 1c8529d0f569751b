import type { AttemptCause, EndState, Trigger } from '../domain/delivery';

export type { AttemptCause } from '../domain/delivery';

/**
 * What passes between workflow and attempt. Only ids, numbers and codes: everything here is kept in Temporal.
 */

export type AttemptRequest = {
  /** uuid */
  deliveryId: string;
  /** uuid; absent from workflows that began before it was passed on. */
  tenantId?: string;
  /** The number this attempt gets if it is made; with the delivery it is the attempt's key. */
  number: number;
  cause: AttemptCause;
  /** `manual` only: the operator asked after the delivery had ended, whichever way. */
  anew?: true;
  /** `due` only: how many reschedules the workflow knows of. */
  moves?: number;
};

/** What came back, as far as the workflow keeps it. */
export type AttemptSummary = { number: number; statusCode?: number; errorCode?: string };

export type AttemptResult =
  /** Ended, by this attempt or before it. */
  | { kind: EndState; last?: AttemptSummary }
  /**
   * Retry after the wait; `kept` = the wait that was running goes on. `attempt` = attempts made so far. `claimed`: there is
   * no wait, because the relay has claimed the delivery for this workflow.
   */
  | {
      kind: 'retry';
      waitMs: number;
      kept: boolean;
      attempt: number;
      last?: AttemptSummary;
      moves?: number;
      claimed?: true;
    }
  /** The row is in the queue and nothing was sent: the gate held it, or an operator has asked for an attempt after this one. */
  | { kind: 'requeued'; last?: AttemptSummary }
  /**
   * The POST goes on in this worker, which will signal `attemptDone`, or in another one. If no signal comes within
   * `waitMs`, the workflow asks for the attempt again.
   */
  | { kind: 'in_flight'; number: number; waitMs: number }
  /** A POST was made and could not be recorded: only the recording is to be retried. */
  | { kind: 'unrecorded'; record: UnrecordedAttempt };

/** Enough of an attempt to record it later, from any worker. */
export type UnrecordedAttempt = {
  /** uuid; absent from attempts made before it was passed on. */
  attemptId?: string;
  /** The holder id of the worker that made it. */
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
