import type { Database } from '../db/database';
import { ensurePartitions } from '../db/partitions';
import { cancelOfDeletedWebhooks, clearDeletedWebhooks, sweepCancelled } from '../db/queue/cancel';
import { takeOverdue } from '../db/queue/overdue';
import { type Log, reasonOf } from '../log';
import { type StartSettings, startOverdue } from '../temporal/start-delivery';
import { withinLimit } from '../temporal/within-limit';
import { type PurgeSettings, purgeOld } from './purge';
import { restartReplays } from './restart-replays';
import { startAll } from './start-all';
import { createWorkflowWakes, type WorkflowWakes } from './wake-workflows';

export type ReconcileSettings = StartSettings &
  PurgeSettings & {
    /** Time between rounds, milliseconds. */
    everyMs: number;
    /** A retry this late may have lost its workflow, milliseconds. */
    overdueMs: number;
  };

/** Overdue retries are taken so many at a time: of those, one that is not started after all counts as late anew. */
const OVERDUE_PER_PAGE = 64;
const CANCEL_PER_BATCH = 1_000;
/** Deliveries to cancel are looked for this often: people wait for it. */
const CANCEL_EVERY_MS = 5_000;
/** The longest start of a lost workflow: the next round tries it again. */
const START_LIMIT_MS = 5_000;
/** A round begins no further page after this long; what is left is for the next one. */
const ROUND_MS = 20_000;

/**
 * Periodic repair. It starts the workflows of overdue retries and stale bulk replays again from Postgres (nothing happens
 * if the workflow lives), cancels live deliveries of deleted webhooks, creates partitions ahead of time, and purges what is
 * beyond its retention: idempotency keys, old logs.
 *
 * Each of these has rounds of its own, of bounded length and in pages, so that none waits for another; what is true in
 * Postgres is committed there first, and no round of Postgres' work waits for Temporal.
 */
export function startReconciler(settings: ReconcileSettings): { stop(): Promise<void> } {
  const { client, db, log, everyMs } = settings;
  let stopped = false;
  const isStopped = () => stopped;
  const wakes = createWorkflowWakes(client);
  const rounds = [
    startRounds(Math.min(everyMs, CANCEL_EVERY_MS), log, () => cancelLeft({ db, log, wakes }, isStopped)),
    startRounds(everyMs, log, async () => void (await ensurePartitions(db.pool, Date.now()))),
    startRounds(everyMs, log, () => purgeOld(settings, isOver(isStopped))),
    startRounds(everyMs, log, () => restartOverdue(settings, isOver(isStopped))),
    startRounds(everyMs, log, async () => void (await restartReplays(settings, isStopped))),
  ];
  return {
    async stop() {
      stopped = true;
      await Promise.all([...rounds.map((round) => round.stop()), wakes.stop()]);
    },
  };
}

/** Whether a round that begins now should begin nothing more. */
function isOver(stopped: () => boolean): () => boolean {
  const endMs = performance.now() + ROUND_MS;
  return () => stopped() || performance.now() >= endMs;
}

/** Does the work again and again, so long after it was done. */
function startRounds(everyMs: number, log: Log, work: () => Promise<void>): { stop(): Promise<void> } {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();
  function schedule(): void {
    timer = setTimeout(() => {
      round = work()
        .catch((error: unknown) => log.warn({ event: 'reconcile_failed', err: reasonOf(error) }))
        .finally(() => {
          if (!stopped) schedule();
        });
    }, everyMs);
  }
  schedule();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await round;
    },
  };
}

async function restartOverdue(settings: ReconcileSettings, over: () => boolean): Promise<void> {
  const { client, db, log, overdueMs } = settings;
  let restarted = 0;
  for (let more = true; more && !over(); ) {
    const overdue = await takeOverdue(db.kysely, overdueMs, OVERDUE_PER_PAGE);
    const { started, complete } = await startAll(
      overdue,
      (delivery) => withinLimit(client, START_LIMIT_MS, () => startOverdue(settings, delivery)),
      { log, stopped: over },
    );
    restarted += started;
    more = complete && overdue.length === OVERDUE_PER_PAGE;
  }
  if (restarted > 0) log.info({ event: 'restarted_overdue', count: restarted });
}

type CancelSettings = { db: Database; log: Log; wakes: WorkflowWakes };

/** Page by page in turns, so that neither waits until the other has none left. */
async function cancelLeft({ db, log, wakes }: CancelSettings, stopped: () => boolean): Promise<void> {
  const over = isOver(stopped);
  let ofDeleted = 0;
  for (let more = true; more && !over(); ) {
    const swept = await sweepCancelled(db.kysely, CANCEL_PER_BATCH);
    const { cancelled, timed } = await cancelOfDeletedWebhooks(db.kysely, CANCEL_PER_BATCH);
    wakes.add(timed);
    ofDeleted += cancelled;
    more = swept > 0 || cancelled > 0;
  }
  if (ofDeleted > 0) log.info({ event: 'cancelled_of_deleted_webhooks', count: ofDeleted });
  await clearDeletedWebhooks(db.kysely);
}
