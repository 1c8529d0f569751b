import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/database';
import { loadAttempts } from '../db/queue/load-attempt';
import type { AttemptNext, AttemptRecord } from '../db/queue/record-attempts';
import { classify, isSuccess, type Verdict } from '../domain/classify';
import { toRetryPolicy } from '../domain/retry-schedule';
import { type Log, reasonOf } from '../log';
import { completedResult, fromUnrecorded, toSummary, toUnrecorded } from './attempt-record';
import type { WriteAttempt } from './attempt-writer';
import { decide } from './decide';
import type { Hold, Holding } from './holding';
import { positionOf, toNext } from './next-step';
import type { CompletedPost } from './post-attempt';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from './types';

/** How long recording may take before the outcome is handed to the workflow, which then retries the recording. */
const RECORD_PATIENCE_MS = 1_000;
const RECORD_RETRY_MS = 200;
/** Wait for a retry that was asked for during the last attempt of a schedule, in case the relay does not wake the run. */
const RETRY_REQUESTED_WAIT_MS = 5_000;

/**
 * Records completed POSTs, however long Postgres is unavailable. `again` is called for an attempt that moved nothing
 * because its delivery has moved on; it returns what the delivery needs now.
 */
export function createRecorder(
  { db, log, writeAttempt, holding }: { db: Database; log: Log; writeAttempt: WriteAttempt; holding: Holding },
  again: (request: AttemptRequest) => Promise<AttemptResult>,
) {
  /** Attempts that were made and are not recorded yet: as many as were under way when Postgres became unavailable. */
  const unrecorded = new Map<string, AttemptRecord>();

  /**
   * Answers within about a second. If the attempt is not recorded by then, the answer carries its outcome to the workflow,
   * and recording goes on here as well. Until it is done this process holds the attempt, so that nobody makes it again.
   */
  async function recordPatiently(post: CompletedPost, request: AttemptRequest, hold: Hold): Promise<AttemptResult> {
    const { record } = post;
    const written = recordWithRetry(post, request);
    const inTime = await Promise.race([written, sleep(RECORD_PATIENCE_MS, undefined, { ref: false })]);
    if (inTime) return inTime;
    const key = keyOf(record);
    unrecorded.set(key, record);
    hold.until(written.finally(() => unrecorded.delete(key)));
    return { kind: 'unrecorded', record: toUnrecorded(record, request) };
  }

  async function recordWithRetry(post: CompletedPost, request: AttemptRequest): Promise<AttemptResult> {
    for (let tries = 1; ; tries++) {
      try {
        return await write(post, request);
      } catch (error) {
        if (holding.stopped) throw error;
        if (tries === 1)
          log.warn({ event: 'record_failed', delivery_id: post.record.deliveryId, err: reasonOf(error) });
        await sleep(RECORD_RETRY_MS);
      }
    }
  }

  async function write({ record, verdict }: CompletedPost, request: AttemptRequest): Promise<AttemptResult> {
    const { moved, cancelled, retryRequested } = await writeAttempt(record);
    if (!moved) return again({ ...request, cause: 'claimed' });
    const last = toSummary(record);
    if (cancelled) return { kind: 'cancelled', last };
    // If a retry was requested, the relay is about to claim the delivery for it and to wake this run.
    if (verdict.kind !== 'retry' && !retryRequested) return { kind: verdict.kind, last };
    return {
      kind: 'retry',
      waitMs: verdict.kind === 'retry' ? verdict.waitMs : RETRY_REQUESTED_WAIT_MS,
      kept: record.next.kind === 'keep_waiting' && record.next.atLeastMs === undefined,
      attempt: record.number,
      last,
    };
  }

  async function recordCompleted(made: UnrecordedAttempt): Promise<AttemptResult> {
    const request = { deliveryId: made.deliveryId, number: made.number, cause: made.cause };
    const [facts] = await loadAttempts(db.pool, [{ deliveryId: made.deliveryId, number: made.number }]);
    // Retention dropped its week: there is no row left to write.
    if (!facts) return { kind: 'cancelled' };
    const { queue, webhook, recorded } = facts;
    if (recorded && (made.attemptId === undefined || recorded.attemptId === made.attemptId)) {
      const decision = decide(facts, request);
      return decision.do === 'answer' ? decision.result : { kind: 'cancelled' };
    }
    const known = unrecorded.get(keyOf(made)) ?? fromUnrecorded(made, facts);
    if (queue && webhook) {
      const position = positionOf({ queue }, request, made.durationMs);
      const verdict = classify(completedResult(made), toRetryPolicy(webhook.retryPolicy), position);
      return write({ record: { ...known, next: toNext(verdict, position) }, verdict }, request);
    }
    // The delivery has ended meanwhile, or its webhook was deleted: the POST was made all the same and is recorded.
    const state = isSuccess(completedResult(made)) ? 'delivered' : 'cancelled';
    const next: AttemptNext = { kind: 'end', state, because: null };
    const verdict: Verdict = state === 'delivered' ? { kind: state } : { kind: 'retry', waitMs: 0 };
    return write({ record: { ...known, next }, verdict }, request);
  }

  /** The outcome of an attempt that was made here and is not recorded yet: it must not be made again. */
  function findUnrecorded(request: AttemptRequest): AttemptResult | undefined {
    const record = unrecorded.get(keyOf(request));
    return record && { kind: 'unrecorded', record: toUnrecorded(record, request) };
  }

  return { recordPatiently, recordCompleted, findUnrecorded };
}

const keyOf = ({ deliveryId, number }: { deliveryId: string; number: number }) => `${deliveryId}/${number}`;
