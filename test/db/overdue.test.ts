import { takeOverdue } from '../../src/db/queue/overdue';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import { addHolder, HOLDER } from './support';

const OVERDUE_MS = 300_000;

const db = databaseForFile({ poolSize: 2, planner: 'queue' });
const tenantId = newUuid();
const webhookId = newUuid();
beforeAll(async () => {
  await db.pool.query(`insert into tenants (id, name) values ($1, 'one')`, [tenantId]);
  await db.pool.query(
    `insert into webhooks (id, tenant_id, url, host, patterns, retry_policy, timeout_ms)
     values ($1, $2, 'https://example.com/', 'example.com', '{*}', '{}', 1000)`,
    [webhookId, tenantId],
  );
});
beforeEach(() => db.pool.query('truncate delivery_queue'));

/** A delivery that waits for its second attempt, so many seconds late. */
async function late(seconds: number, express: boolean, holder: number | null = null): Promise<string> {
  const id = newUuid();
  await db.pool.query(
    `insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, timed, attempt, express,
       next_attempt_at, holder, posting)
     values ($1, $2, $1, $3, 'a.b', true, 1, $4, now() - $5::int * interval '1 s',
       $6, case when $6::int is not null then 2 end)`,
    [id, tenantId, webhookId, express, seconds, holder],
  );
  return id;
}
const overdue = async (limit = 10) =>
  (await takeOverdue(db.kysely, OVERDUE_MS, limit)).map(({ deliveryId }) => deliveryId).sort();

test('a retry that the express path left to the engine is overdue after 10 s, one that a workflow has taken up after 5 minutes', async () => {
  const left = await late(20, true);
  await late(5, true);
  await late(20, false);
  const lost = await late(310, false);
  await late(310, true, await addHolder(db.pool));
  const ofTheDead = await late(310, true, HOLDER + 1);
  expect(await overdue()).toEqual([left, lost, ofTheDead].sort());
  expect(await overdue()).toEqual([]);
});

test('the oldest come first, no more than asked for, and the next ones in the round after', async () => {
  const [third, first, second] = [await late(400, false), await late(600, false), await late(500, true)];
  expect(await overdue(2)).toEqual([first, second].sort());
  expect(await overdue(2)).toEqual([third]);
});
