import { setTimeout as sleep } from 'node:timers/promises';
import { createBatcher } from '../concurrency/batcher';
import type { Database } from '../db/database';
import { logLateAttempt } from '../db/queue/log-late-attempt';
import { type AttemptRecord, recordAttempts } from '../db/queue/record-attempts';
import { wasRefused } from '../db/statement-errors';
import { toPublicId } from '../domain/ids';
import type { Log } from '../log';
import { logAttempt, logGate } from './attempt-record';

/** Attempts that one statement writes down. */
const MAX_ATTEMPTS = 100;
/** From one statement to the next while attempts keep ending: fewer statements, and nobody notices 10 ms. */
const GATHER_MS = 10;
const MAX_STATEMENTS = 2;
/** A late attempt waits for the one in flight: longer than any takes. */
const LATE_RETRY_MS = 2_000;
const LATE_TRIES = 60;

/** What became of an attempt's record. */
export type Written = {
  /** The delivery moved on by it; else it had ended already, or this attempt was counted before. */
  moved: boolean;
  /** Another attempt was asked for meanwhile, and its delivery is claimable again. */
  wanted: boolean;
  /** A cancel was asked for meanwhile: the delivery has ended by it. */
  cancelled: boolean;
};

/** Writes one attempt down, in a statement that it may share. @throws while the database does not take it */
export type WriteAttempt = (record: AttemptRecord) => Promise<Written>;

export type AttemptWriter = {
  write: WriteAttempt;
  /** Resolves when attempts that came late are written down as well. */
  settled(): Promise<void>;
};

export type AttemptWriterDeps = {
  db: Database;
  log: Log;
  /** Attempts of one webhook that this worker makes at once, at most. */
  perWebhook: number;
  /** An operational event waits to be published. */
  onRaised: () => void;
  /** Hears of each attempt that was written down, once, as the log does. Must not throw. */
  onAttempt?: ((record: AttemptRecord) => void) | undefined;
};

/**
 * Attempts that end at the same time are written down together. Each has its line in the log once, however often its
 * record had to be repeated; and where Postgres refuses one, the others do not suffer for it.
 */
export function createAttemptWriter({ db, log, perWebhook, onRaised, onAttempt }: AttemptWriterDeps): AttemptWriter {
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
    const { moved, logged, wanted, cancelled, gates, raised } = await recordAttempts(db.pool, records, perWebhook);
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
    if (raised) onRaised();
    return records.map(({ deliveryId }) => ({
      moved: moved.has(deliveryId),
      wanted: wanted.has(deliveryId),
      cancelled: cancelled.has(deliveryId),
    }));
  }

  /**
   * It moved nothing: mostly its first record had been taken, and only the answer was lost. Else it is one more attempt
   * that was made. Never rejects.
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
