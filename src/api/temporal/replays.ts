import type { Client } from '@temporalio/client';
import type { ReplayProgress } from '../../domain/replay';
import { replayWorkflowId } from '../../temporal/names';
import { type StartableReplay, startReplay } from '../../temporal/start-replay';

/** The caller waits for the start; if it fails, the reconciler starts the workflow later. */
const START_LIMIT_MS = 2_000;
const QUERY_LIMIT_MS = 1_000;
const SIGNAL_LIMIT_MS = 1_000;

/** What the API does with the workflows of bulk replays. Postgres is the source of truth: each of these calls may fail. */
export type ReplayWorkflows = {
  /** @throws if Temporal cannot be reached */
  start(replay: StartableReplay): Promise<void>;
  /** The live progress, or undefined on any error: the caller then answers from Postgres. */
  progress(replayId: string): Promise<ReplayProgress | undefined>;
  /** Signals the workflow of a replay that was cancelled, so that it does not wait for its next page. Never rejects. */
  cancel(replayId: string): Promise<void>;
};

export function createReplayWorkflows(client: Client, taskQueuePrefix: string): ReplayWorkflows {
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
