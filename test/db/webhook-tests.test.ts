import { findTest, insertTest, listTests, loadTest, purgeTests } from '../../src/db/store/webhook-tests';
import { newUuid } from '../../src/domain/ids';
import { MAX_TESTS_KEPT, TEST_BEGINS_WITHIN_MS, TEST_LIMIT_MS, TEST_RETENTION_MS } from '../../src/domain/webhook-test';
import { databaseForFile } from '../support/for-tests';
import { addWebhook, tenant, webhook } from './support';

const db = databaseForFile({ poolSize: 2, planner: 'default' });

beforeEach(async () => {
  await db.pool.query('truncate webhook_tests, webhook_gates, webhooks, tenants cascade');
  await db.pool.query(`insert into tenants (id, name) values ($1, 'a'), ($2, 'b')`, [tenant(1), tenant(2)]);
  await db.pool.query(
    `insert into webhooks (id, tenant_id, url, host, patterns, metadata, retry_policy, timeout_ms)
     values ($1, $2, 'http://example.com', 'example.com', '{*}', '{}', '{"preset":"quick"}', 1000)`,
    [webhook(1), tenant(1)],
  );
  await addWebhook(db.pool, webhook(1), 0);
});

const add = async (id = newUuid(), tenantId = tenant(1)) => {
  const body = Buffer.from('{}');
  await db.kysely
    .transaction()
    .execute((tx) => insertTest(tx, { id, tenantId, webhookId: webhook(1), eventType: 'a', body }));
  return id;
};
const age = (id: string, ms: number) =>
  db.pool.query(`update webhook_tests set created_at = now() - $2::float8 * interval '1 ms' where id = $1`, [id, ms]);
const count = async () => (await db.pool.query('select id from webhook_tests')).rows.length;

test('the last tests of a tenant are kept, and those of another are left alone', async () => {
  const other = await add(newUuid(), tenant(2));
  const made: string[] = [];
  for (let n = 0; n < MAX_TESTS_KEPT + 2; n++) made.push(await add(newUuid(Date.now() + n)));
  const { rows } = await listTests(db.kysely, tenant(1), webhook(1), { limit: 200 });
  expect(rows.map(({ id }) => id)).toEqual(made.slice(2).reverse());
  expect(await findTest(db.kysely, tenant(2), webhook(1), other)).toMatchObject({ outcome: 'pending' });
});

test('those whose retention is over are purged, a number at a time', async () => {
  const now = Date.now();
  for (let n = 1; n <= 3; n++) await add(newUuid(now - TEST_RETENTION_MS - n));
  await add(newUuid(now - TEST_RETENTION_MS + 60_000));
  expect(await purgeTests(db.kysely, 2, now)).toBe(2);
  expect(await purgeTests(db.kysely, 2, now)).toBe(1);
  expect(await count()).toBe(1);
});

test('a worker begins no test that was asked for too long ago, and one that nobody made is shown as that', async () => {
  const id = await add();
  expect(await loadTest(db.kysely, id)).toMatchObject({ id, webhook: { url: 'http://example.com', urlChanges: 0 } });
  await age(id, TEST_BEGINS_WITHIN_MS + 1_000);
  expect(await loadTest(db.kysely, id)).toBeUndefined();
  expect(await findTest(db.kysely, tenant(1), webhook(1), id)).toMatchObject({ outcome: 'pending' });
  await age(id, TEST_LIMIT_MS + 1_000);
  expect(await findTest(db.kysely, tenant(1), webhook(1), id)).toMatchObject({
    outcome: 'not_made',
    attempt: undefined,
  });
});

test('a test of a deleted webhook, or one that was made, is not begun', async () => {
  const [deleted, made] = [await add(), await add()];
  await db.pool.query(`update webhook_tests set outcome = 'failed' where id = $1`, [made]);
  expect(await loadTest(db.kysely, made)).toBeUndefined();
  expect(await loadTest(db.kysely, deleted)).toBeDefined();
  await db.pool.query('update webhooks set deleted_at = now()');
  expect(await loadTest(db.kysely, deleted)).toBeUndefined();
});
