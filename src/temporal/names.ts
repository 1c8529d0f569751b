import { toPublicId } from '../domain/ids';

/** Names shared by api, relay and worker: they must agree, so they are made in this one place. */

/** The queue of workflow tasks, that of every attempt after the first, and that of the pages of bulk replays. */
export function taskQueues(prefix: string): { workflows: string; retries: string; replays: string } {
  return { workflows: prefix, retries: `${prefix}-retries`, replays: `${prefix}-replays` };
}

/** The workflow id is the delivery id: one delivery, one workflow. */
export function workflowId(deliveryUuid: string): string {
  return toPublicId('delivery', deliveryUuid);
}

export const WORKFLOW_TYPE = 'deliverWebhook';

/** The workflow id is the replay id: one bulk replay, one workflow. */
export function replayWorkflowId(replayUuid: string): string {
  return toPublicId('replay', replayUuid);
}

export const REPLAY_WORKFLOW_TYPE = 'bulkReplay';

/** One round of a webhook's endpoint verification, one workflow. */
export function verificationWorkflowId(webhookUuid: string, round: number): string {
  return `${toPublicId('webhook', webhookUuid)}-verify-${round}`;
}

export const VERIFICATION_WORKFLOW_TYPE = 'verifyEndpoint';

/** One test of a webhook, one workflow. */
export function testWorkflowId(testUuid: string): string {
  return `${toPublicId('attempt', testUuid)}-test`;
}

export const TEST_WORKFLOW_TYPE = 'testWebhook';
