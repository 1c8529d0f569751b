import { ApplicationFailure, activityInfo } from '@temporalio/activity';
import { NoTurn } from '../concurrency/fair-turns';
import type { Database } from '../db/database';
import { type Counted, countReplay, replayPage } from '../db/store/replay-pages';
import { cancelReplay, ownerOf } from '../db/store/replays';
import type { ReplayProgress } from '../domain/replay';
import { heartbeating } from './heartbeating';
import type { ReplayRoom } from './replay-room';

/** What could not wait for its turn comes back after so long, and after twice as long each further time. */
const COME_BACK = { firstMs: 15_000, maxMs: 60_000 };

/**
 * What a bulk replay's workflow may call. Each may be called again: the replay's row says how far it has come. Pages, and
 * the steps of counting, take turns by tenant.
 */
export function createReplayActivities({ kysely }: Database, room: ReplayRoom) {
  return {
    /** Counts what the replay matches; goes on where an earlier try was cut short. */
    async countReplay(replayId: string): Promise<ReplayProgress> {
      const owner = await ownerOf(kysely, replayId);
      let counted = activityInfo().heartbeatDetails as Counted | undefined;
      return orLater(() =>
        room.enter('counts', owner, (inTurn) =>
          heartbeating(
            () =>
              countReplay(kysely, replayId, {
                from: counted,
                inTurn,
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
        room.enter('pages', owner, (inTurn) => heartbeating(() => inTurn(() => replayPage(kysely, replayId, limit)))),
      );
    },

    cancelReplay: (replayId: string): Promise<ReplayProgress> => heartbeating(() => cancelReplay(kysely, replayId)),
  };
}

/** The engine asks again; apart, so that they do not come at once. Nothing of it is in the workflow's history. */
async function orLater<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NoTurn)) throw error;
    const waitMs = Math.min(COME_BACK.firstMs * 2 ** (activityInfo().attempt - 1), COME_BACK.maxMs);
    throw ApplicationFailure.create({
      message: error.message,
      type: error.name,
      nextRetryDelay: Math.round(waitMs * (0.5 + Math.random())),
      category: 'BENIGN',
    });
  }
}
