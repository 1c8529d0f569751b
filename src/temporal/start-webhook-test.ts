import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { toPublicId } from '../domain/ids';
import { MAX_TIMEOUT_MS, WORKFLOW_TASK_TIMEOUT_MS } from '../domain/limits';
import { PosthornTenant, PosthornWebhook, type TestInput } from '../workflows/contract';
import { TEST_WORKFLOW_TYPE, taskQueues, testWorkflowId } from './names';

/** What starting the workflow of a test needs to know. */
export type StartableTest = { tenantId: string; webhookId: string; testId: string };

/** Beyond the POST's own limit: the body, and recording. */
const ATTEMPT_MARGIN_MS = 15_000;

/** Starts the workflow of a test. Nothing happens if it was started before. */
export async function startWebhookTest(
  client: Client,
  taskQueuePrefix: string,
  { tenantId, webhookId, testId }: StartableTest,
): Promise<void> {
  const queues = taskQueues(taskQueuePrefix);
  const attemptTimeoutMs = MAX_TIMEOUT_MS + ATTEMPT_MARGIN_MS;
  const input: TestInput = { testId, retriesQueue: queues.retries, attemptTimeoutMs };
  try {
    await client.workflow.start(TEST_WORKFLOW_TYPE, {
      args: [input],
      workflowId: testWorkflowId(testId),
      taskQueue: queues.workflows,
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT_MS,
      typedSearchAttributes: new TypedSearchAttributes([
        { key: PosthornTenant, value: toPublicId('tenant', tenantId) },
        { key: PosthornWebhook, value: toPublicId('webhook', webhookId) },
      ]),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
