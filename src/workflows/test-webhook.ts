import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/activities';
import type { TestInput } from './contract';

/**
 * One test of a webhook. The result stands in Postgres; the workflow only makes sure that the attempt is made, even if a worker
 * dies before.
 */
export async function testWebhook({ testId, retriesQueue, attemptTimeoutMs }: TestInput): Promise<void> {
  const activities = proxyActivities<Pick<Activities, 'testWebhook'>>({
    taskQueue: retriesQueue,
    startToCloseTimeout: attemptTimeoutMs,
    // Whoever asked for it waits no longer, and the activity sends nothing then: see TEST_LIMIT_MS.
    scheduleToCloseTimeout: '2m',
    heartbeatTimeout: '10s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s' },
  });
  await activities.testWebhook(testId);
}
