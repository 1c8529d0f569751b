import { activityInfo } from '@temporalio/activity';
import type { Database } from '../db/database';
import { type Counted, countReplay, replayPage } from '../db/replay-pages';
import { cancelReplay, ownerOf } from '../db/replays';
import type { ReplayProgress } from '../domain/replay';
import { createTurns } from '../domain/turns';
import { heartbeating } from './heartbeating';

/**
 * What a bulk replay's workflow may call. Each may be called again: the replay's row says how far it has come. Pages, and
 * the steps of counting, take turns by tenant, so many at once.
 */
export function createReplayActivities({ kysely }: Database, pagesAtOnce: number) {
  const turns = createTurns(pagesAtOnce);

  return {
    /** Counts what the replay matches; goes on where an earlier try was cut short. */
    async countReplay(replayId: string): Promise<ReplayProgress> {
      const owner = await ownerOf(kysely, replayId);
      let counted = activityInfo().heartbeatDetails as Counted | undefined;
      return heartbeating(
        () =>
          countReplay(kysely, replayId, {
            from: counted,
            inTurn: (step) => turns.run(owner, step),
            onStep: (sofar) => {
              counted = sofar;
            },
          }),
        () => counted,
      );
    },

    /** Puts the next deliveries back into the queue. */
    async replayPage(replayId: string, limit: number): Promise<ReplayProgress> {
      const owner = await ownerOf(kysely, replayId);
      return heartbeating(() => turns.run(owner, () => replayPage(kysely, replayId, limit)));
    },

    cancelReplay: (replayId: string): Promise<ReplayProgress> => heartbeating(() => cancelReplay(kysely, replayId)),
  };
}
