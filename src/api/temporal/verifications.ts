import type { Client } from '@temporalio/client';
import { createFairSemaphore } from '../../concurrency/fair-semaphore';
import { type StartableVerification, startVerification } from '../../temporal/start-verification';

/** The time limit of a start. Its caller waits for it. */
const START_LIMIT_MS = 2_000;
/** The time limit of a start together with the wait for its permit. */
const WHOLE_LIMIT_MS = 4_000;
/**
 * Starts at once, of all tenants and of one: each costs Temporal and a worker much more than the request that asked for
 * it. While other tenants make requests, a tenant's place stays empty after a start for `restFactor` times as long as the
 * start took.
 */
const STARTS = { atOnce: 20, perKey: 2, restFactor: 9, maxRestMs: 500 };

/** What the API does with the workflows of endpoint verification. */
export type VerificationWorkflows = {
  /** @throws if Temporal cannot be reached */
  start(verification: StartableVerification): Promise<void>;
};

/** @param rests whether a tenant's place stays empty after a start, because other tenants make requests */
export function createVerificationWorkflows(
  client: Client,
  taskQueuePrefix: string,
  rests: (tenantId: string) => boolean,
): VerificationWorkflows {
  const semaphore = createFairSemaphore({ ...STARTS, rests });
  return {
    async start(verification) {
      const untilMs = Date.now() + WHOLE_LIMIT_MS;
      await semaphore.run(verification.tenantId, async () => {
        const deadline = Math.min(untilMs, Date.now() + START_LIMIT_MS);
        await client.withDeadline(deadline, () => startVerification(client, taskQueuePrefix, verification));
      });
    },
  };
}
