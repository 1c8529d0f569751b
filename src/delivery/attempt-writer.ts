import { setTimeout as sleep } from 'node:timers/promises';
import { createBatcher } from '../concurrency/batcher';
import type { Database } from '../db/database';
import { logLateAttempt } from '../db/queue/log-late-attempt';
import { type AttemptRecord, recordAttempts } from '../db/queue/record-attempts';
import { wasRefused } from '../db/statement-errors';
import { toPublicId } from '../domain/ids';
import type { Log } from '../log';
import { logAttempt, logGate } from './attempt-record';

/** Attempts that one statement records. */
const MAX_ATTEMPTS = 100;
/** Pause between statements while attempts keep ending: fewer statements, at a delay of 10 ms. */
const GATHER_MS = 10;
const MAX_STATEMENTS = 2;
/** A late attempt waits for the one in flight: longer than any takes. */
const LATE_RETRY_MS = 2_000;
const LATE_TRIES = 60;

/** What recording an attempt did. */
export type Written = {
  /** It moved the delivery on; else the delivery had ended already, or this attempt was recorded before. */
  moved: boolean;
  /** An operator asked for a retry meanwhile, and the delivery is claimable again. */
  retryRequested: boolean;
  /** An operator asked for a cancel meanwhile: the delivery has ended as cancelled. */
  cancelled: boolean;
};

/** Records one attempt, in a statement that it may share. @throws while writes fail */
export type WriteAttempt = (record: AttemptRecord) => Promise<Written>;

export type AttemptWriter = {
  write: WriteAttempt;
  /** Resolves when late attempts are recorded as well. */
  settled(): Promise<void>;
};

export type AttemptWriterDeps = {
  db: Database;
  log: Log;
  /** Most attempts of one webhook that this worker makes at once. */
  perWebhook: number;
  /** Called after a row was written to the outbox. */
  onOutboxRow: () => void;
  /** Called once for each attempt that was recorded, when its line is logged. Must not throw. */
  onAttempt?: ((record: AttemptRecord) => void) | undefined;
};

/**
 * Records attempts that end at the same time in one statement. Each is logged once, however often its recording had to be
 * repeated. If Postgres refuses the statement, each attempt is recorded by itself, so that one does not fail the others.
 */
export function createAttemptWriter({ db, log, perWebhook, onOutboxRow, onAttempt }: AttemptWriterDeps): AttemptWriter {
  const late = new Set<Promise<void>>();
  const write = createBatcher<AttemptRecord, Written>(writeTogether, {
    maxItems: MAX_ATTEMPTS,
    maxRunning: MAX_STATEMENTS,
    gatherMs: () => GATHER_MS,
    keyOf: ({ deliveryId }) => deliveryId,
    aloneAfter: wasRefused,
  });
  return { write, settled: async () => void (await Promise.all(late)) };

  async function writeTogether(records: AttemptRecord[]): Promise<Written[]> {
    const { moved, logged, retryRequested, cancelled, gates, outboxFilled } = await recordAttempts(
      db.pool,
      records,
      perWebhook,
    );
    for (const record of records) {
      if (!moved.has(record.deliveryId)) {
        const written = writeLate(record, logged.has(record.deliveryId)).finally(() => late.delete(written));
        late.add(written);
      }
      if (!logged.has(record.deliveryId)) continue;
      logAttempt(log, record);
      onAttempt?.(record);
    }
    for (const change of gates) logGate(log, change);
    if (outboxFilled) onOutboxRow();
    return records.map(({ deliveryId }) => ({
      moved: moved.has(deliveryId),
      retryRequested: retryRequested.has(deliveryId),
      cancelled: cancelled.has(deliveryId),
    }));
  }

  /**
   * Records an attempt that did not move its delivery. Mostly it was recorded before and only the answer was lost; else it
   * is one more attempt that was made. Never rejects.
   */
  async function writeLate(record: AttemptRecord, logged: boolean): Promise<void> {
    for (let left = LATE_TRIES; left > 0; left--) {
      const outcome = await logLateAttempt(db.kysely, record).catch(() => 'in_flight' as const);
      if (typeof outcome === 'number') logAttempt(log, { ...record, number: outcome });
      if (outcome !== 'in_flight') return;
      await sleep(LATE_RETRY_MS, undefined, { ref: false });
    }
    log.warn({ event: 'late_attempt_lost', delivery_id: toPublicId('delivery', record.deliveryId), logged });
  }
}
