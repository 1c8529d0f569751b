import {
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../activities/activities';
import type { ReplayProgress, ReplayState } from '../domain/replay';
import type { ReplayInput } from './contract';

export const progressQuery = defineQuery<ReplayProgress>('progress');
/** Ends the wait for the next page, and the replay with it. */
export const cancelSignal = defineSignal('cancel');

/**
 * Puts what a bulk replay matches back into the queue, page by page at its rate. The row in Postgres is the
 * source of truth: a page that is asked for twice takes the next deliveries, and one of a cancelled replay takes none.
 */
export async function bulkReplay(input: ReplayInput): Promise<ReplayState> {
  const { replayId, rate, pageSize, pagesPerRun, retriesQueue } = input;
  const { countReplay, replayPage, cancelReplay } = proxyActivities<
    Pick<Activities, 'countReplay' | 'replayPage' | 'cancelReplay'>
  >({
    taskQueue: retriesQueue,
    // Counting goes through years of deliveries in steps; its heartbeats say that it lives.
    startToCloseTimeout: '30m',
    heartbeatTimeout: '10s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
  });

  let { progress } = input;
  let cancelled = false;
  setHandler(progressQuery, () => progress);
  setHandler(cancelSignal, () => {
    cancelled = true;
  });

  if (progress.total === null) progress = await countReplay(replayId);
  for (let pages = 1; progress.state === 'running'; pages++) {
    const beganAtMs = Date.now();
    const sentBefore = progress.sent;
    progress = await replayPage(replayId, pageSize);
    if (progress.state !== 'running') break;
    // Counted from the row's progress: the wait for a page whose answer was lost is made as well.
    const pageMs = ((progress.sent - sentBefore) * rate.perMs) / rate.count;
    const waitMs = Math.ceil(beganAtMs + pageMs - Date.now());
    if (waitMs > 0) await condition(() => cancelled, waitMs, { summary: `page ${pages + 1}` });
    if (cancelled) progress = await cancelReplay(replayId);
    else if (pages >= pagesPerRun || workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof bulkReplay>({ ...input, progress });
    }
  }
  return progress.state;
}
