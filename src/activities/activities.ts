import { ApplicationFailure, activityInfo } from '@temporalio/activity';
import type { Database } from '../db/database';
import { cancelDelivery, endCancelled } from '../db/queue/cancel';
import { type Ended, findEnd } from '../db/queue/delivery-state';
import { setNextAttempt } from '../db/queue/operator-commands';
import type { InFlight } from '../delivery/in-flight';
import type { Attempts } from '../delivery/make-attempt';
import { NoRoom, type RetryRoom } from '../delivery/retry-room';
import { HeldElsewhere } from '../delivery/stale';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from '../delivery/types';
import { OwnTroubleError } from '../domain/own-trouble';
import { type Log, reasonOf } from '../log';
import { heartbeating } from './heartbeating';
import { createReplayActivities } from './replay-activities';
import type { ReplayRoom } from './replay-room';

export type ActivityDeps = {
  db: Database;
  /** For the pages of bulk replays. */
  replayRoom: ReplayRoom;
  attempts: Attempts;
  /** Makes one round of endpoint verification. */
  verify: (webhookId: string, round: number) => Promise<void>;
  inFlight: InFlight;
  /** For attempts that nobody claimed for a slot here. */
  retryRoom: RetryRoom;
  /** Longest time a POST may take, milliseconds. */
  maxPostMs: number;
  /** Tells a delivery's workflow how the attempt that it handed over came out. */
  signalDone: (deliveryId: string, number: number, result: AttemptResult) => Promise<void>;
  log: Log;
};

/**
 * A local activity holds its workflow-task slot and delays that workflow's signals and queries, so a first attempt
 * gives the slot back after this long; its POST goes on in the process.
 */
const HAND_OVER_AFTER_MS = 2_000;
/** Beyond the POST's own limit: recording (1 s at most) and the signal. */
const HAND_OVER_MARGIN_MS = 3_000;

/** An attempt that another worker is making is asked for again after this long. */
const HELD_WAIT_MS = 1_000;
/** For a first attempt that could not be begun after it was handed over; others are tried again by the engine. */
const POSTPONED_MS = 1_000;

/** No attempt was made: the same number is to be tried again. */
function postponed(number: number): AttemptResult {
  return { kind: 'retry', waitMs: POSTPONED_MS, kept: false, attempt: number - 1 };
}

/** What found no room comes back after so long; where it could not even wait for it, after twice as long each time. */
const NO_ROOM_WAIT_MS = 1_000;
const MAX_NO_ROOM_WAIT_MS = 60_000;

/** The engine asks again: until then the delivery waits for its retry as before. Apart, so that they do not come at once. */
function askAgainLater(error: NoRoom): ApplicationFailure {
  const doublings = error.waited ? 0 : activityInfo().attempt - 1;
  const waitMs = Math.min(NO_ROOM_WAIT_MS * 2 ** doublings, MAX_NO_ROOM_WAIT_MS);
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
  const { db, replayRoom, attempts, verify, inFlight, retryRoom, maxPostMs, signalDone, log } = deps;
  const run = (request: AttemptRequest, onPost?: (timeoutMs: number) => void) =>
    inFlight.run(request.deliveryId, request.number, () => attempts.attempt(request, onPost));

  return {
    ...createReplayActivities(db, replayRoom),

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
          // Where it is being made it will soon be recorded, or its worker is found dead: then it is asked for again.
          if (!(error instanceof HeldElsewhere)) throw error;
          return { kind: 'in_flight', number, waitMs: HELD_WAIT_MS } as const;
        })
        .finally(() => clearTimeout(timer));
      if (quick) return quick;
      // Should the attempt or the signal fail, the workflow's own wait ends in a normal attempt.
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
        const leave = await retryRoom.enter(request.tenantId).catch((error: unknown) => {
          throw error instanceof NoRoom ? askAgainLater(error) : error;
        });
        return run(request).finally(leave);
      }),

    /** Writes down an attempt whose POST was made while Postgres was away. */
    recordMade: (made: UnrecordedAttempt): Promise<AttemptResult> => heartbeating(() => attempts.recordCompleted(made)),

    /** Sends an endpoint its challenge. May be called again: an answer to a round that is over changes nothing. */
    verifyEndpoint: (webhookId: string, round: number): Promise<void> => heartbeating(() => verify(webhookId, round)),

    /**
     * Ends what an operator cancelled and has not ended; where the cancel stands in the record already (`recorded`), that
     * and nothing that was asked for after it. Returns what stands in the record then.
     */
    cancel: (deliveryId: string, recorded = false): Promise<Ended> =>
      heartbeating(async () => {
        if (recorded) await endCancelled(db.kysely, deliveryId, 'asked');
        else await cancelDelivery(db.kysely, deliveryId);
        return findEnd(db.kysely, deliveryId);
      }),

    async reschedule(deliveryId: string, atMs: number): Promise<void> {
      await setNextAttempt(db.kysely, deliveryId, new Date(atMs));
    },
  };
}
