import type { Client } from '@temporalio/client';
import type { Database } from '../db/database';
import { takeStaleReplays } from '../db/store/replays';
import type { Log } from '../log';
import { startReplay } from '../temporal/start-replay';
import { withinLimit } from '../temporal/within-limit';
import { startAll } from './start-all';

/** Replays are few; the next round takes the rest. */
const PER_ROUND = 50;
/** The longest start of one. */
const START_LIMIT_MS = 5_000;

export type RestartReplays = {
  db: Database;
  client: Client;
  log: Log;
  taskQueuePrefix: string;
  /** A replay that made no page for this long may have lost its workflow, milliseconds. */
  overdueMs: number;
};

/**
 * Starts the workflows of running replays that have not moved for a while: the workflow was lost, or could not be
 * started when the replay was asked for. Nothing happens if it lives. Returns how many were started.
 */
export async function restartReplays(
  { db, client, log, taskQueuePrefix, overdueMs }: RestartReplays,
  stopped: () => boolean = () => false,
): Promise<number> {
  const stale = await takeStaleReplays(db.kysely, overdueMs, PER_ROUND);
  const { started } = await startAll(
    stale,
    (replay) => withinLimit(client, START_LIMIT_MS, () => startReplay(client, taskQueuePrefix, replay)),
    { log, stopped },
  );
  if (started > 0) log.info({ event: 'restarted_replays', count: started });
  return started;
}
