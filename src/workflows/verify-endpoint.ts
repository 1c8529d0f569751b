import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/activities';
import type { VerificationInput } from './contract';

/**
 * One round of endpoint verification. The result stands in Postgres; the workflow only makes sure that the
 * round is made, even if a worker dies in it: the challenge is then sent anew.
 */
export async function verifyEndpoint({ webhookId, round, retriesQueue }: VerificationInput): Promise<void> {
  const activities = proxyActivities<Pick<Activities, 'verifyEndpoint'>>({
    taskQueue: retriesQueue,
    // Three requests of 4 s at most, and recording.
    startToCloseTimeout: '30s',
    // The api waits no longer than this: see VERIFICATION_LIMIT_MS.
    scheduleToCloseTimeout: '1m',
    heartbeatTimeout: '10s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '10s' },
  });
  await activities.verifyEndpoint(webhookId, round);
}
