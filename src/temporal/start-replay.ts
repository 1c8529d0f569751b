import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { toPublicId } from '../domain/ids';
import { WORKFLOW_TASK_TIMEOUT_MS } from '../domain/limits';
import type { RateLimit } from '../domain/rate-limit';
import { PAGES_PER_RUN, pageSize, type ReplayProgress } from '../domain/replay';
import { PosthornTenant, PosthornWebhook, type ReplayInput } from '../workflows/contract';
import { REPLAY_WORKFLOW_TYPE, replayWorkflowId, taskQueues } from './names';

/** What starting a bulk replay's workflow needs to know. */
export type StartableReplay = ReplayProgress & {
  id: string;
  tenantId: string;
  webhookId: string | null;
  rate: RateLimit;
};

/**
 * Starts the workflow of a bulk replay where it left off; called by the api, when one is asked for, and by the
 * reconciler, when the workflow was lost. Nothing happens if it is running.
 */
export async function startReplay(
  client: Client,
  taskQueuePrefix: string,
  replay: StartableReplay,
): Promise<'started' | 'already_running'> {
  const queues = taskQueues(taskQueuePrefix);
  const { state, total, sent, skipped } = replay;
  const input: ReplayInput = {
    replayId: replay.id,
    rate: replay.rate,
    pageSize: pageSize(replay.rate),
    pagesPerRun: PAGES_PER_RUN,
    retriesQueue: queues.replays,
    progress: { state, total, sent, skipped },
  };
  try {
    await client.workflow.start(REPLAY_WORKFLOW_TYPE, {
      args: [input],
      workflowId: replayWorkflowId(replay.id),
      taskQueue: queues.workflows,
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT_MS,
      typedSearchAttributes: new TypedSearchAttributes([
        { key: PosthornTenant, value: toPublicId('tenant', replay.tenantId) },
        ...(replay.webhookId ? [{ key: PosthornWebhook, value: toPublicId('webhook', replay.webhookId) }] : []),
      ]),
    });
    return 'started';
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 'already_running';
    throw error;
  }
}
