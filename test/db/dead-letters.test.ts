import { discardDeadLetters, listDeadLetters } from '../../src/db/store/dead-letters';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';

const db = databaseForFile({ poolSize: 2, planner: 'default' });

const BOUNDS = { since: new Date(Date.now() - 60_000), until: new Date(Date.now() + 60_000) };

/** Dead letters of a new tenant. */
async function addDead(count: number): Promise<string> {
  const tenantId = newUuid();
  await db.pool.query(
    `insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, ended_at, failed_at)
     select id, $2, id, $2, 'a.b', 'failed', 1, now(), now() from unnest($1::uuid[]) id`,
    [Array.from({ length: count }, () => newUuid()), tenantId],
  );
  return tenantId;
}

test('a call discards up to its limit, and says whether there is more', async () => {
  const tenantId = await addDead(7);
  const other = await addDead(1);
  const discard = () => discardDeadLetters(db.kysely, tenantId, BOUNDS, 3);
  expect(await discard()).toEqual({ discarded: 3, more: true });
  expect(await discard()).toEqual({ discarded: 3, more: true });
  expect(await discard()).toEqual({ discarded: 1, more: false });
  expect(await discard()).toEqual({ discarded: 0, more: false });
  const { rows } = await db.pool.query('select distinct state, failed_at from deliveries where tenant_id = $1', [
    tenantId,
  ]);
  expect(rows).toEqual([{ state: 'failed', failed_at: null }]);
  expect((await listDeadLetters(db.kysely, other, { ...BOUNDS, limit: 10 })).rows).toHaveLength(1);
});

test('10,000 are discarded in one call', async () => {
  const tenantId = await addDead(10_001);
  expect(await discardDeadLetters(db.kysely, tenantId, BOUNDS, 10_000)).toEqual({ discarded: 10_000, more: true });
});
