import { ApplicationFailure, activityInfo } from '@temporalio/activity';
import type { Database } from '../db/database';
import { cancelDelivery, endCancelled } from '../db/queue/cancel';
import { findStanding, type Standing } from '../db/queue/delivery-state';
import { setNextAttempt } from '../db/queue/operator-commands';
import type { InFlight } from '../delivery/in-flight';
import type { Attempts } from '../delivery/make-attempt';
import { NoCapacity, type RetryCapacity } from '../delivery/retry-capacity';
import { HeldElsewhere } from '../delivery/stale';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from '../delivery/types';
import { OwnTroubleError } from '../domain/own-trouble';
import { type Log, reasonOf } from '../log';
import { heartbeating } from './heartbeating';
import { createReplayActivities } from './replay-activities';
import type { ReplayCapacity } from './replay-capacity';

export type ActivityDeps = {
  db: Database;
  /** Capacity for the pages of bulk replays. */
  replayCapacity: ReplayCapacity;
  attempts: Attempts;
  /** Makes one round of endpoint verification. */
  verify: (webhookId: string, round: number) => Promise<void>;
  /** Makes the attempt of a test of a webhook. */
  testWebhook: (testId: string) => Promise<void>;
  inFlight: InFlight;
  /** Slots for attempts that were not claimed: a timer fired, or an operator asked. */
  retryCapacity: RetryCapacity;
  /** Longest time a POST may take, milliseconds. */
  maxPostMs: number;
  /** Signals the outcome of a handed-over attempt to its delivery's workflow. */
  signalDone: (deliveryId: string, number: number, result: AttemptResult) => Promise<void>;
  log: Log;
};

/**
 * A local activity holds its workflow-task slot and delays that workflow's signals and queries, so a first attempt
 * releases the slot after this long; its POST goes on in the process.
 */
const HAND_OVER_AFTER_MS = 2_000;
/** Beyond the POST's own limit: recording (1 s at most) and the signal. */
const HAND_OVER_MARGIN_MS = 3_000;

/** The workflow asks again after this long for an attempt that another worker is making. */
const HELD_WAIT_MS = 1_000;
/** The wait of a first attempt that could not be begun after it was handed over; Temporal retries the others. */
const POSTPONED_MS = 1_000;

/** No attempt was made: the same number is to be tried again. */
function postponed(number: number): AttemptResult {
  return { kind: 'retry', waitMs: POSTPONED_MS, kept: false, attempt: number - 1 };
}

/** An attempt that got no slot is retried after this long; one that could not even wait for it, after twice as long each time. */
const NO_CAPACITY_WAIT_MS = 1_000;
const MAX_NO_CAPACITY_WAIT_MS = 60_000;

/** Has Temporal retry the activity, at a random distance; until then the delivery waits for its retry as before. */
function askAgainLater(error: NoCapacity): ApplicationFailure {
  const doublings = error.waited ? 0 : activityInfo().attempt - 1;
  const waitMs = Math.min(NO_CAPACITY_WAIT_MS * 2 ** doublings, MAX_NO_CAPACITY_WAIT_MS);
  return ApplicationFailure.create({
    message: error.message,
    type: error.name,
    nextRetryDelay: Math.round(waitMs * (0.5 + Math.random())),
    category: 'BENIGN',
  });
}

export type Activities = ReturnType<typeof createActivities>;

/** Everything that workflows may call. */
export function createActivities(deps: ActivityDeps) {
  const { db, replayCapacity, attempts, verify, testWebhook, inFlight, retryCapacity, maxPostMs, signalDone, log } =
    deps;
  const run = (request: AttemptRequest, onPost?: (timeoutMs: number) => void) =>
    inFlight.run(request.deliveryId, request.number, () => attempts.attempt(request, onPost));

  return {
    ...createReplayActivities(db, replayCapacity),

    /** A first attempt, as a local activity: its outcome, or `in_flight` once it takes longer than 2 s. */
    async attemptFirst(request: AttemptRequest, webhookId: string): Promise<AttemptResult> {
      inFlight.reserve({ deliveryId: request.deliveryId, webhookId });
      const { number } = request;
      let postMs = maxPostMs;
      const running = run(request, (timeoutMs) => {
        postMs = timeoutMs;
      });
      let timer: NodeJS.Timeout | undefined;
      const slow = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), HAND_OVER_AFTER_MS);
      });
      const quick = await Promise.race([running, slow])
        .catch((error: unknown) => {
          // Another worker is making it. It will soon be recorded, or its worker found dead; the workflow asks again then.
          if (!(error instanceof HeldElsewhere)) throw error;
          return { kind: 'in_flight', number, waitMs: HELD_WAIT_MS } as const;
        })
        .finally(() => clearTimeout(timer));
      if (quick) return quick;
      // If the attempt or the signal fails, the workflow's own wait ends and it asks for a normal attempt.
      inFlight.handOver(
        running
          .catch((error: unknown) => {
            if (error instanceof OwnTroubleError) return postponed(number);
            throw error;
          })
          .then((result) => signalDone(request.deliveryId, number, result))
          .catch((error: unknown) => log.warn({ event: 'hand_over_failed', err: reasonOf(error) })),
      );
      return { kind: 'in_flight', number, waitMs: postMs - HAND_OVER_AFTER_MS + HAND_OVER_MARGIN_MS };
    },

    /** Any later attempt, or a first one that was lost. Heartbeats, so that a dead worker is noticed within 10 s. */
    attempt: (request: AttemptRequest): Promise<AttemptResult> =>
      heartbeating(async () => {
        if (inFlight.has(request.deliveryId)) return run(request);
        const leave = await retryCapacity.enter(request.tenantId).catch((error: unknown) => {
          throw error instanceof NoCapacity ? askAgainLater(error) : error;
        });
        return run(request).finally(leave);
      }),

    /** Records an attempt whose POST was made while Postgres was unavailable. */
    recordMade: (made: UnrecordedAttempt): Promise<AttemptResult> => heartbeating(() => attempts.recordCompleted(made)),

    /** Sends an endpoint its challenge. May be called again: an answer to a round that is over changes nothing. */
    verifyEndpoint: (webhookId: string, round: number): Promise<void> => heartbeating(() => verify(webhookId, round)),

    /** Makes the attempt of a test. May be called again: one that was made is not made again. */
    testWebhook: (testId: string): Promise<void> => heartbeating(() => testWebhook(testId)),

    /**
     * Ends a delivery that an operator cancelled. `recorded`: the cancel is in Postgres already; then only that cancel is
     * carried out, and nothing that was asked for after it. Returns what Postgres says of the delivery then: it may have been
     * started anew since.
     */
    cancel: (deliveryId: string, recorded = false): Promise<Standing> =>
      heartbeating(async () => {
        if (recorded) await endCancelled(db.kysely, deliveryId, 'asked');
        else await cancelDelivery(db.kysely, deliveryId);
        return findStanding(db.kysely, deliveryId);
      }),

    /** What Postgres says of a delivery. */
    findStanding: (deliveryId: string): Promise<Standing> => findStanding(db.kysely, deliveryId),

    async reschedule(deliveryId: string, atMs: number): Promise<void> {
      await setNextAttempt(db.kysely, deliveryId, new Date(atMs));
    },
  };
}
