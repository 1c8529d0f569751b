import type { Client } from '@temporalio/client';
import { createTurns } from '../../concurrency/fair-turns';
import { type StartableVerification, startVerification } from '../../temporal/start-verification';

/** A start answers within this time, and its caller waits for it. */
const START_LIMIT_MS = 2_000;
/** With the wait for its turn. */
const WHOLE_LIMIT_MS = 4_000;
/**
 * Starts at once, of all tenants and of one: each costs the engine and a worker much more than the request that asked for
 * it. While other tenants ask for something, a tenant's place then stays empty for `restFactor` times as long.
 */
const STARTS = { atOnce: 20, perKey: 2, restFactor: 9, maxRestMs: 500 };

/** The running side of endpoint verification, as far as the API needs it. */
export type VerificationEngine = {
  /** @throws where the engine could not be reached */
  start(verification: StartableVerification): Promise<void>;
};

/** @param rests whether a tenant leaves room for others after a start */
export function createVerificationEngine(
  client: Client,
  taskQueuePrefix: string,
  rests: (tenantId: string) => boolean,
): VerificationEngine {
  const turns = createTurns({ ...STARTS, rests });
  return {
    async start(verification) {
      const untilMs = Date.now() + WHOLE_LIMIT_MS;
      await turns.run(verification.tenantId, async () => {
        const deadline = Math.min(untilMs, Date.now() + START_LIMIT_MS);
        await client.withDeadline(deadline, () => startVerification(client, taskQueuePrefix, verification));
      });
    },
  };
}
