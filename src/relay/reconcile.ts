import type { Client } from '@temporalio/client';
import type { Database } from '../db/database';
import { ensurePartitions } from '../db/partitions';
import { cancelOfDeletedWebhooks, sweepCancelled } from '../db/queue/cancel';
import { takeOverdue } from '../db/queue/overdue';
import { type Log, reasonOf } from '../log';
import { workflowId } from '../temporal/names';
import { type StartSettings, startOverdue } from '../temporal/start-delivery';
import { type PurgeSettings, purgeOld } from './purge';
import { restartReplays } from './restart-replays';
import { startAll } from './start-all';

export type ReconcileSettings = StartSettings &
  PurgeSettings & {
    /** Time between rounds, milliseconds. */
    everyMs: number;
    /** A retry this late may have lost its workflow, milliseconds. */
    overdueMs: number;
  };

const OVERDUE_PER_ROUND = 500;
const CANCEL_PER_BATCH = 500;
/** Deliveries to cancel are looked for this often: people wait for it. */
const CANCEL_EVERY_MS = 5_000;
/** The limit of each signal; after the first one that fails no more are sent. */
const TELL_LIMIT_MS = 2_000;
const TELL_AT_ONCE = 16;

/**
 * Periodic repair. It starts the workflows of overdue retries and stale bulk replays again from Postgres (nothing happens
 * if the workflow lives), cancels live deliveries of deleted webhooks, creates partitions ahead of time, and purges what is
 * beyond its retention: idempotency keys, old logs.
 *
 * What needs Temporal has rounds of its own, so that the rest goes on while Temporal is unavailable.
 */
export function startReconciler(settings: ReconcileSettings): { stop(): Promise<void> } {
  const { db, log, everyMs } = settings;
  let stopped = false;
  const isStopped = () => stopped;
  const rounds = [
    startRounds(Math.min(everyMs, CANCEL_EVERY_MS), log, async () => {
      await cancelLeft(settings, isStopped);
    }),
    startRounds(everyMs, log, async () => {
      await ensurePartitions(db.pool, Date.now());
      await purgeOld(settings, isStopped);
    }),
    startRounds(everyMs, log, async () => {
      await restartOverdue(settings, isStopped);
      await restartReplays(settings, isStopped);
    }),
  ];
  return {
    async stop() {
      stopped = true;
      await Promise.all(rounds.map((round) => round.stop()));
    },
  };
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

async function restartOverdue(settings: ReconcileSettings, stopped: () => boolean): Promise<void> {
  const { db, log, overdueMs } = settings;
  const overdue = await takeOverdue(db.kysely, overdueMs, OVERDUE_PER_ROUND);
  const restarted = await startAll(overdue, (delivery) => startOverdue(settings, delivery), { log, stopped });
  if (restarted > 0) log.info({ event: 'restarted_overdue', count: restarted });
}

type CancelSettings = { db: Database; client: Client; log: Log };

async function cancelLeft({ db, client, log }: CancelSettings, stopped: () => boolean): Promise<void> {
  for (let more = true; more && !stopped(); ) more = (await sweepCancelled(db.kysely, CANCEL_PER_BATCH)) > 0;
  const waited: string[] = [];
  for (let more = true; more && !stopped(); ) {
    const { cancelled, timed } = await cancelOfDeletedWebhooks(db.kysely, CANCEL_PER_BATCH);
    if (cancelled > 0) log.info({ event: 'cancelled_of_deleted_webhooks', count: cancelled });
    waited.push(...timed);
    more = cancelled === CANCEL_PER_BATCH;
  }
  await tellWorkflows(client, waited, stopped);
}

/**
 * Signals the workflows of cancelled deliveries: they find the row gone and end now. Best effort: one that gets no signal,
 * because Temporal is unavailable, ends when its timer fires.
 */
async function tellWorkflows(client: Client, ids: readonly string[], stopped: () => boolean): Promise<void> {
  for (let i = 0; i < ids.length && !stopped(); i += TELL_AT_ONCE) {
    const told = ids.slice(i, i + TELL_AT_ONCE).map((id) =>
      client
        .withDeadline(Date.now() + TELL_LIMIT_MS, () => client.workflow.getHandle(workflowId(id)).signal('wake'))
        .then(
          () => true,
          (error: Error) => error.name === 'WorkflowNotFoundError',
        ),
    );
    if ((await Promise.all(told)).includes(false)) return;
  }
}
