import { WorkflowNotFoundError } from '@temporalio/client';
import { cancelOfDeletedWebhooks, takeOverdue } from '../db/control';
import { ensurePartitions } from '../db/partitions';
import { workflowId } from '../domain/names';
import { reasonOf } from '../log';
import { type ForgetSettings, forgetOld } from './forget-expired';
import { restartReplays } from './restart-replays';
import { startAll } from './start-all';
import { type StartSettings, startOverdue } from './start-workflow';

export type ReconcileSettings = StartSettings &
  ForgetSettings & {
    /** Time between rounds, milliseconds. */
    everyMs: number;
    /** A retry this late may have lost its workflow, milliseconds. */
    overdueMs: number;
  };

const OVERDUE_PER_ROUND = 500;
const CANCEL_PER_BATCH = 500;

/**
 * Sees to what no timer or request will: retries whose workflow is lost are started again from Postgres (nothing
 * happens where it lives), and so are bulk replays; live deliveries of deleted webhooks are cancelled, partitions are
 * made ahead of time, and what is over its time is forgotten: idempotency keys, old logs.
 */
export function startReconciler(settings: ReconcileSettings): { stop(): Promise<void> } {
  const { db, log, everyMs } = settings;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> = Promise.resolve();

  async function reconcile(): Promise<void> {
    await ensurePartitions(db.pool, Date.now());
    await restartOverdue(settings, () => stopped);
    await cancelDeleted(settings, () => stopped);
    await restartReplays(settings, () => stopped);
    await forgetOld(settings, () => stopped);
  }

  function schedule(): void {
    timer = setTimeout(() => {
      round = reconcile()
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

async function cancelDeleted({ db, client, log }: ReconcileSettings, stopped: () => boolean): Promise<void> {
  for (let more = true; more && !stopped(); ) {
    const { cancelled, timed } = await cancelOfDeletedWebhooks(db.kysely, CANCEL_PER_BATCH);
    if (cancelled > 0) log.info({ event: 'cancelled_of_deleted_webhooks', count: cancelled });
    // Their workflows find the row gone and end now instead of when their timer fires.
    for (const id of timed) {
      await client.workflow
        .getHandle(workflowId(id))
        .signal('wake')
        .catch((error: unknown) => {
          if (!(error instanceof WorkflowNotFoundError)) throw error;
        });
    }
    more = cancelled === CANCEL_PER_BATCH;
  }
}
