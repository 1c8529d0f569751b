import type { Client } from '@temporalio/client';
import { createFairSemaphore } from '../../concurrency/fair-semaphore';
import { type StartableTest, startWebhookTest } from '../../temporal/start-webhook-test';

/** As for verifications (./verifications.ts): the time limit of a start, and with the wait for its permit. */
const START_LIMIT_MS = 2_000;
const WHOLE_LIMIT_MS = 4_000;
const STARTS = { atOnce: 20, perKey: 2, restFactor: 9, maxRestMs: 500 };

/** What the API does with the workflows of tests of webhooks. */
export type WebhookTestWorkflows = {
  /** @throws if Temporal cannot be reached */
  start(test: StartableTest): Promise<void>;
};

/** @param rests whether a tenant's place stays empty after a start, because other tenants make requests */
export function createWebhookTestWorkflows(
  client: Client,
  taskQueuePrefix: string,
  rests: (tenantId: string) => boolean,
): WebhookTestWorkflows {
  const semaphore = createFairSemaphore({ ...STARTS, rests });
  return {
    async start(test) {
      const untilMs = Date.now() + WHOLE_LIMIT_MS;
      await semaphore.run(test.tenantId, async () => {
        const deadline = Math.min(untilMs, Date.now() + START_LIMIT_MS);
        await client.withDeadline(deadline, () => startWebhookTest(client, taskQueuePrefix, test));
      });
    },
  };
}
