import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { toPublicId } from '../domain/ids';
import { WORKFLOW_TASK_TIMEOUT_MS } from '../domain/limits';
import { PosthornTenant, PosthornWebhook, type VerificationInput } from '../workflows/contract';
import { taskQueues, VERIFICATION_WORKFLOW_TYPE, verificationWorkflowId } from './names';

/** What starting a round's workflow needs to know. */
export type StartableVerification = { tenantId: string; webhookId: string; round: number };

/** Starts the workflow of one round of endpoint verification. Nothing happens if it was started before. */
export async function startVerification(
  client: Client,
  taskQueuePrefix: string,
  { tenantId, webhookId, round }: StartableVerification,
): Promise<void> {
  const queues = taskQueues(taskQueuePrefix);
  const input: VerificationInput = { webhookId, round, retriesQueue: queues.retries };
  try {
    await client.workflow.start(VERIFICATION_WORKFLOW_TYPE, {
      args: [input],
      workflowId: verificationWorkflowId(webhookId, round),
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
