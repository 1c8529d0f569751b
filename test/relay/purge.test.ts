import { newUuid } from '../../src/domain/ids';
import { sql } from '../api/support';
import { type Installation, startInstallation } from '../support/installation';
import { until } from '../support/until';

/** What has been kept for long enough goes, and nothing else does. In batches: ../db/retention.test.ts. */

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const ago = (ms: number) => new Date(Date.now() - ms);

async function addLine(posthorn: Installation, target: string, at: Date): Promise<void> {
  await sql(
    posthorn,
    `insert into audit_log (id, actor, action, target, created_at) values ($1, 'test', 'a.b', $2, $3)`,
    [newUuid(at.getTime()), target, at],
  );
}

/** Its id; `ended: null` is a running one. */
async function addReplay(posthorn: Installation, made: Date, ended: Date | null): Promise<string> {
  const id = newUuid(made.getTime());
  // Moved lately, so that nobody takes its workflow for lost.
  await sql(
    posthorn,
    `insert into replays (id, tenant_id, filter, rate_per_second, state, created_at, ended_at)
     values ($1, $1, '{"rate_limit":"1/1s"}', 1, $2, $3, $4)`,
    [id, ended ? 'completed' : 'running', made, ended],
  );
  return id;
}

const targets = async (posthorn: Installation) =>
  (await sql<{ target: string }>(posthorn, `select target from audit_log where action = 'a.b' order by id`)).map(
    ({ target }) => target,
  );
const replays = async (posthorn: Installation) =>
  (await sql<{ id: string }>(posthorn, 'select id from replays order by id')).map(({ id }) => id);

test('a worker removes lines and ended replays when their time is over', async () => {
  const posthorn = await startInstallation({
    POSTHORN_RECONCILE_EVERY: '100ms',
    POSTHORN_AUDIT_LOG_RETENTION: '3d',
    POSTHORN_REPLAY_RETENTION: '2d',
  });
  try {
    await addLine(posthorn, 'kept', ago(3 * DAY_MS - HOUR_MS));
    const kept = [
      await addReplay(posthorn, ago(9 * DAY_MS), null),
      await addReplay(posthorn, ago(8 * DAY_MS), ago(2 * DAY_MS - HOUR_MS)),
    ];
    await addReplay(posthorn, ago(8 * DAY_MS), ago(2 * DAY_MS + HOUR_MS));
    // Last: where they are gone, a round has seen the rest.
    for (let n = 0; n < 20; n++) await addLine(posthorn, 'old', ago(3 * DAY_MS + HOUR_MS + n));
    await until('the old ones to go', async () => {
      const left = { lines: await targets(posthorn), replays: await replays(posthorn) };
      return !left.lines.includes('old') && left.replays.length === kept.length;
    });
    expect(await targets(posthorn)).toEqual(['kept']);
    expect(await replays(posthorn)).toEqual(kept);
  } finally {
    await posthorn.stop();
  }
});
