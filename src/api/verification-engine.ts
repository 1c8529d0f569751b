import type { Client } from '@temporalio/client';
import { type StartableVerification, startVerification } from '../start-verification';

/** The caller waits for it. */
const START_LIMIT_MS = 2_000;

/** The running side of endpoint verification, as far as the API needs it. */
export type VerificationEngine = {
  /** @throws where the engine could not be reached */
  start(verification: StartableVerification): Promise<void>;
};

export function createVerificationEngine(client: Client, taskQueuePrefix: string): VerificationEngine {
  return {
    async start(verification) {
      await client.withDeadline(Date.now() + START_LIMIT_MS, () =>
        startVerification(client, taskQueuePrefix, verification),
      );
    },
  };
}
