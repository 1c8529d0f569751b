import { ApplicationFailure, activityInfo } from '@temporalio/activity';
import { NotAdmitted } from '../concurrency/fair-semaphore';
import type { Database } from '../db/database';
import { type Counted, countReplay, replayPage } from '../db/store/replay-pages';
import { cancelReplay, ownerOf } from '../db/store/replays';
import type { ReplayProgress } from '../domain/replay';
import { heartbeating } from './heartbeating';
import type { ReplayCapacity } from './replay-capacity';

/** An activity that was not admitted is retried after this long, and after twice as long each further time. */
const RETRY_AFTER = { firstMs: 15_000, maxMs: 60_000 };

/**
 * What a bulk replay's workflow may call. Each may be called again: the replay's row says how far it has come. Pages and
 * counting steps are shared out by tenant.
 */
export function createReplayActivities({ kysely }: Database, capacity: ReplayCapacity) {
  return {
    /** Counts what the replay matches; goes on from where an earlier try ended. */
    async countReplay(replayId: string): Promise<ReplayProgress> {
      const owner = await ownerOf(kysely, replayId);
      let counted = activityInfo().heartbeatDetails as Counted | undefined;
      return orLater(() =>
        capacity.enter('counts', owner, (withPermit) =>
          heartbeating(
            () =>
              countReplay(kysely, replayId, {
                from: counted,
                withPermit,
                onStep: (sofar) => {
                  counted = sofar;
                },
              }),
            () => counted,
          ),
        ),
      );
    },

    /** Puts the next deliveries back into the queue. */
    async replayPage(replayId: string, limit: number): Promise<ReplayProgress> {
      const owner = await ownerOf(kysely, replayId);
      return orLater(() =>
        capacity.enter('pages', owner, (withPermit) =>
          heartbeating(() => withPermit(() => replayPage(kysely, replayId, limit))),
        ),
      );
    },

    cancelReplay: (replayId: string): Promise<ReplayProgress> => heartbeating(() => cancelReplay(kysely, replayId)),
  };
}

/** Has Temporal retry what was not admitted, at a random distance. Nothing of it stands in the workflow's history. */
async function orLater<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NotAdmitted)) throw error;
    const waitMs = Math.min(RETRY_AFTER.firstMs * 2 ** (activityInfo().attempt - 1), RETRY_AFTER.maxMs);
    throw ApplicationFailure.create({
      message: error.message,
      type: error.name,
      nextRetryDelay: Math.round(waitMs * (0.5 + Math.random())),
      category: 'BENIGN',
    });
  }
}
