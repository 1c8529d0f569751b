import { purgeLogs } from '../../src/db/store/retention';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import { webhook } from './support';

const db = databaseForFile({ poolSize: 4, planner: 'default' });

const DAY_MS = 86_400_000;
const tenantId = webhook(1);
const now = Date.now();

test('what is older than it is kept for goes in batches, running replays stay', async () => {
  for (const days of [1, 9, 11, 12, 13]) {
    await db.pool.query(
      `insert into audit_log (id, tenant_id, actor, action, target) values ($1, $2, 'cli', 'test', 'n')`,
      [newUuid(now - days * DAY_MS), tenantId],
    );
  }
  for (const [days, state, endedDays] of [
    [1, 'completed', 1],
    [8, 'completed', 8],
    [8, 'running', null],
    [9, 'cancelled', 8],
    // It ran for long.
    [10, 'completed', 6],
  ] as const) {
    await db.pool.query(
      `insert into replays (id, tenant_id, filter, rate_per_second, state, ended_at) values ($1, $2, '{}', 1, $3, $4)`,
      [newUuid(now - days * DAY_MS), tenantId, state, endedDays && new Date(now - endedDays * DAY_MS)],
    );
  }
  const retention = { auditLogMs: 10 * DAY_MS, replaysMs: 7 * DAY_MS };
  expect(await purgeLogs(db.kysely, retention, 2, now)).toEqual({ purged: 4, more: true });
  expect(await purgeLogs(db.kysely, retention, 2, now)).toEqual({ purged: 1, more: false });
  expect(await purgeLogs(db.kysely, retention, 2, now)).toEqual({ purged: 0, more: false });
  const { rows: lines } = await db.pool.query('select id from audit_log');
  expect(lines).toHaveLength(2);
  const { rows: replays } = await db.pool.query('select state from replays order by id');
  expect(replays.map(({ state }) => state)).toEqual(['completed', 'running', 'completed']);
});
