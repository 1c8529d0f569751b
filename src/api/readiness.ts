import { weeksAhead } from '../db/partitions';
import type { Answer } from './route';
import type { Services } from './services';

/** Below this, publishing would soon fail for want of a partition. */
const MIN_WEEKS_AHEAD = 2;

/** Ready means: publishing works. Temporal being away is shown, and does not make the API unready. */
export async function readiness({ db, engine }: Services): Promise<Answer> {
  const [weeks, temporal] = await Promise.all([
    weeksAhead(db.pool, Date.now()).catch(() => undefined),
    engine.reachable(),
  ]);
  const ready = weeks !== undefined && weeks >= MIN_WEEKS_AHEAD;
  return {
    status: ready ? 200 : 503,
    body: {
      status: ready ? 'ready' : 'not_ready',
      database: weeks === undefined ? 'unreachable' : 'ok',
      ...(weeks !== undefined && { partition_weeks_ahead: weeks }),
      temporal: temporal ? 'ok' : 'unreachable',
    },
  };
}
