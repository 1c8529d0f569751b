import type { Database } from '../db/database';
import { countReplay, replayPage } from '../db/replay-pages';
import { cancelReplay } from '../db/replays';
import type { ReplayProgress } from '../domain/replay';
import { heartbeating } from './heartbeating';

/** What a bulk replay's workflow may call. Each may be called again: the replay's row says how far it has come. */
export function createReplayActivities({ kysely }: Database) {
  return {
    /** Counts what the replay matches. */
    countReplay: (replayId: string): Promise<ReplayProgress> => heartbeating(() => countReplay(kysely, replayId)),

    /** Puts the next deliveries back into the queue. */
    replayPage: (replayId: string, limit: number): Promise<ReplayProgress> =>
      heartbeating(() => replayPage(kysely, replayId, limit)),

    cancelReplay: (replayId: string): Promise<ReplayProgress> => heartbeating(() => cancelReplay(kysely, replayId)),
  };
}
