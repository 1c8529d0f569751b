import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import type { ClaimedDelivery, QueuedDelivery } from '../db/queue/claim-workflow';
import type { AttemptSummary } from '../delivery/types';
import { toPublicId } from '../domain/ids';
import { WORKFLOW_TASK_TIMEOUT_MS } from '../domain/limits';
import { type DeliverInput, PosthornEventType, PosthornTenant, PosthornWebhook } from '../workflows/contract';
import { taskQueues, WORKFLOW_TYPE, workflowId } from './names';

export type StartSettings = {
  client: Client;
  taskQueuePrefix: string;
  /** Above the longest possible attempt. */
  attemptTimeoutMs: number;
};

/** Where the first workflow task of a started delivery runs. */
export type Started = 'here' | 'anywhere' | 'already_running';

/**
 * Starts the workflow of a claimed delivery, eagerly: its first workflow task comes back with the answer and runs in
 * this process. If a run of this delivery is still open (it has put its row back and is about to close), it is
 * signalled: a run that sees the signal goes on, and if it has just closed a new one starts. Relying on "already running"
 * instead would lose the delivery in that gap.
 */
export async function startClaimed(settings: StartSettings, claimed: ClaimedDelivery): Promise<Started> {
  const { client } = settings;
  if (claimed.trigger === 'manual') {
    await client.workflow.signalWithStart(WORKFLOW_TYPE, {
      ...options(settings, claimed, 'claimed'),
      signal: 'retryNow',
      signalArgs: [{ by: claimed.askedBy ? toPublicId('apiKey', claimed.askedBy) : 'operator', claimed: true }],
    });
    return 'anywhere';
  }
  try {
    const handle = await client.workflow.start(WORKFLOW_TYPE, {
      ...options(settings, claimed, 'claimed'),
      requestEagerStart: true,
    });
    return handle.eagerlyStarted ? 'here' : 'anywhere';
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    await client.workflow.signalWithStart(WORKFLOW_TYPE, {
      ...options(settings, claimed, 'claimed'),
      signal: 'wake',
      signalArgs: [],
    });
    return 'already_running';
  }
}

/**
 * A delivery whose attempt was made without a workflow, and that waits for its next one, due on the clock of
 * `performance.now()`.
 */
export type WaitingDelivery = QueuedDelivery & { dueAtMs: number; last: AttemptSummary };

/**
 * Starts the workflow of a delivery that waits: it begins with its timer. If a run of it is still open, that one is
 * woken and finds in Postgres that it has to wait.
 */
export async function startWaiting(settings: StartSettings, { dueAtMs, last, ...delivery }: WaitingDelivery) {
  const { args, ...rest } = options(settings, delivery, 'claimed');
  // A length of time, not a time: Temporal's clock may differ.
  const input: [DeliverInput] = [{ ...args[0], waitMs: Math.max(0, Math.round(dueAtMs - performance.now())), last }];
  try {
    await settings.client.workflow.start(WORKFLOW_TYPE, { ...rest, args: input, requestEagerStart: true });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    await settings.client.workflow.signalWithStart(WORKFLOW_TYPE, {
      ...rest,
      args: input,
      signal: 'wake',
      signalArgs: [],
    });
  }
}

/** Starts the workflow of a delivery whose retry is overdue; nothing happens if one is running. */
export async function startOverdue(settings: StartSettings, delivery: QueuedDelivery): Promise<Started> {
  try {
    await settings.client.workflow.start(WORKFLOW_TYPE, options(settings, delivery, 'due'));
    return 'anywhere';
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 'already_running';
    throw error;
  }
}

function options(
  { taskQueuePrefix, attemptTimeoutMs }: StartSettings,
  d: QueuedDelivery,
  cause: DeliverInput['cause'],
) {
  const queues = taskQueues(taskQueuePrefix);
  const input: DeliverInput = {
    deliveryId: d.deliveryId,
    webhookId: d.webhookId,
    tenantId: d.tenantId,
    attempt: d.attempt,
    cause,
    retriesQueue: queues.retries,
    attemptTimeoutMs,
  };
  return {
    args: [input] as [DeliverInput],
    workflowId: workflowId(d.deliveryId),
    taskQueue: queues.workflows,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE' as const,
    workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT_MS,
    staticSummary: `${d.eventType} → ${d.host}`,
    typedSearchAttributes: new TypedSearchAttributes([
      { key: PosthornTenant, value: toPublicId('tenant', d.tenantId) },
      { key: PosthornWebhook, value: toPublicId('webhook', d.webhookId) },
      { key: PosthornEventType, value: d.eventType },
    ]),
  };
}
