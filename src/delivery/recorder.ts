import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/database';
import { loadAttempts } from '../db/load-attempt';
import type { AttemptRecord } from '../db/record-attempts';
import { classify } from '../domain/classify';
import { toRetryPolicy } from '../domain/retry-schedule';
import { type Log, reasonOf } from '../log';
import { fromUnrecorded, madeResult, toFact, toUnrecorded } from './attempt-record';
import type { WriteAttempt } from './attempt-writer';
import { decide } from './decide';
import { placeOf, toNext } from './next-step';
import type { Made } from './post-attempt';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from './types';

/** How long a made POST waits for Postgres to take its record before the workflow is asked to see to it. */
const RECORD_PATIENCE_MS = 1_000;
const RECORD_RETRY_MS = 200;
/** Details of made but unrecorded attempts that are remembered here, so that the log loses nothing. */
const MAX_REMEMBERED = 1_000;

/**
 * Writes made attempts down, whatever Postgres does. `again` answers for an attempt that turned out to count no more:
 * its delivery has moved on.
 */
export function createRecorder(
  { db, log, writeAttempt }: { db: Database; log: Log; writeAttempt: WriteAttempt },
  again: (request: AttemptRequest) => Promise<AttemptResult>,
) {
  const remembered = new Map<string, AttemptRecord>();

  async function recordPatiently(made: Made, request: AttemptRequest): Promise<AttemptResult> {
    const { record } = made;
    let patient = true;
    const written = (async () => {
      for (;;) {
        try {
          return await write(made, request);
        } catch (error) {
          if (!patient) return undefined;
          log.warn({ event: 'record_failed', delivery_id: record.deliveryId, err: reasonOf(error) });
          await sleep(RECORD_RETRY_MS);
        }
      }
    })();
    // A database that neither answers nor refuses must not hold the outcome back either.
    const inTime = await Promise.race([written, sleep(RECORD_PATIENCE_MS, undefined, { ref: false })]);
    if (inTime) return inTime;
    patient = false;
    if (remembered.size < MAX_REMEMBERED) remembered.set(`${record.deliveryId}/${record.number}`, record);
    return { kind: 'unrecorded', record: toUnrecorded(record, request) };
  }

  async function write({ record, verdict }: Made, request: AttemptRequest): Promise<AttemptResult> {
    const { moved } = await writeAttempt(record);
    if (!moved) return again({ ...request, cause: 'claimed' });
    const last = toFact(record);
    if (verdict.kind !== 'retry') return { kind: verdict.kind, last };
    return {
      kind: 'retry',
      waitMs: verdict.waitMs,
      kept: record.next.kind === 'keep_waiting',
      attempt: record.number,
      last,
    };
  }

  async function recordMade(made: UnrecordedAttempt): Promise<AttemptResult> {
    const request = { deliveryId: made.deliveryId, number: made.number, cause: made.cause };
    const [facts] = await loadAttempts(db.pool, [made]);
    const decision = decide(facts, request);
    if (!facts?.queue || !facts.webhook || facts.recorded) {
      return decision.do === 'answer' ? decision.result : { kind: 'cancelled' };
    }
    const live = { ...facts, queue: facts.queue, webhook: facts.webhook };
    const place = placeOf(live, request, made.durationMs);
    const verdict = classify(madeResult(made), toRetryPolicy(live.webhook.retryPolicy), place);
    const key = `${made.deliveryId}/${made.number}`;
    const record = { ...(remembered.get(key) ?? fromUnrecorded(made, live)), next: toNext(verdict, place) };
    const answer = await write({ record, verdict }, request);
    remembered.delete(key);
    return answer;
  }

  return { recordPatiently, recordMade };
}
