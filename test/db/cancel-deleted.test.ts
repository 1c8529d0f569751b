import { cancelOfDeletedWebhooks, clearDeletedWebhooks } from '../../src/db/queue/cancel';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';

const db = databaseForFile({ poolSize: 4, planner: 'queue' });
const tenantId = newUuid();
beforeAll(() => db.pool.query(`insert into tenants (id, name) values ($1, 'one')`, [tenantId]));
beforeEach(() => db.pool.query('truncate delivery_queue, deliveries, webhooks cascade'));

async function deleted(count: number, ago = '2 minutes', timed = true): Promise<string> {
  const id = newUuid();
  await db.pool.query(
    `insert into webhooks (id, tenant_id, url, host, patterns, retry_policy, timeout_ms, deleted_at)
     values ($1, $2, 'https://example.com/', 'example.com', '{*}', '{}', 1000, now() - $3::interval)`,
    [id, tenantId, ago],
  );
  await db.pool.query(
    `with ids as materialized (select gen_random_uuid() as id from generate_series(1, $3)),
     queued as (
       insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, timed)
       select id, $1, id, $2, 'a.b', $4 from ids)
     select 1`,
    [tenantId, id, count, timed],
  );
  return id;
}
const left = async (webhookId: string): Promise<number> =>
  (await db.pool.query('select count(*)::int as n from delivery_queue where webhook_id = $1', [webhookId])).rows[0].n;
const isCleared = async (webhookId: string): Promise<boolean> =>
  (await db.pool.query('select cleared_at is not null as cleared from webhooks where id = $1', [webhookId])).rows[0]
    .cleared;

test.each([true, false])(
  'what another worker is cancelling is left to it, and the webhook is not done with before (timed: %s)',
  async (timed) => {
    const id = await deleted(20, '2 minutes', timed);
    const other = await db.pool.connect();
    try {
      await other.query('begin');
      await other.query('delete from delivery_queue where webhook_id = $1', [id]);
      expect(await cancelOfDeletedWebhooks(db.kysely, 100)).toEqual({ cancelled: 0, timed: [] });
      await clearDeletedWebhooks(db.kysely);
      expect(await isCleared(id)).toBe(false);
      await other.query('rollback');
    } finally {
      other.release();
    }
    expect(await left(id)).toBe(20);
  },
);

test('a webhook is done with once it has no live deliveries and was deleted a minute ago, whatever others have', async () => {
  const [large, empty, new_] = [await deleted(30), await deleted(0), await deleted(0, '1 second')];
  await cancelOfDeletedWebhooks(db.kysely, 4);
  await clearDeletedWebhooks(db.kysely);
  expect(await left(large)).toBe(29);
  expect([await isCleared(large), await isCleared(empty), await isCleared(new_)]).toEqual([false, true, false]);
});

test('one page holds deliveries of several webhooks', async () => {
  const [large, small] = [await deleted(1_000), await deleted(5)];
  await cancelOfDeletedWebhooks(db.kysely, 40);
  expect([await left(large), await left(small)]).toEqual([990, 0]);
});
