import type { Client } from '@temporalio/client';
import type { ReplayProgress } from '../../domain/replay';
import { replayWorkflowId } from '../../temporal/names';
import { type StartableReplay, startReplay } from '../../temporal/start-replay';

/** The caller waits for it; the reconciler starts what could not be started. */
const START_LIMIT_MS = 2_000;
const QUERY_LIMIT_MS = 1_000;
const SIGNAL_LIMIT_MS = 1_000;

/** The running side of bulk replays, as far as the API needs it. The record has the word; none of this is certain. */
export type ReplayEngine = {
  /** @throws where the engine could not be reached */
  start(replay: StartableReplay): Promise<void>;
  /** The live progress, or undefined on any error: the caller then answers from Postgres. */
  progress(replayId: string): Promise<ReplayProgress | undefined>;
  /** Tells the workflow of a replay that was cancelled, so that it does not wait for its next page. */
  cancel(replayId: string): Promise<void>;
};

export function createReplayEngine(client: Client, taskQueuePrefix: string): ReplayEngine {
  const handle = (replayId: string) => client.workflow.getHandle(replayWorkflowId(replayId));
  const within = <T>(limitMs: number, work: () => Promise<T>) => client.withDeadline(Date.now() + limitMs, work);

  return {
    async start(replay) {
      await within(START_LIMIT_MS, () => startReplay(client, taskQueuePrefix, replay));
    },

    async progress(replayId) {
      try {
        return await within(QUERY_LIMIT_MS, () => handle(replayId).query<ReplayProgress>('progress'));
      } catch {
        return undefined;
      }
    },

    async cancel(replayId) {
      await within(SIGNAL_LIMIT_MS, () => handle(replayId).signal('cancel')).catch(() => undefined);
    },
  };
}
