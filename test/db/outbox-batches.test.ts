import type { Pool } from 'pg';
import { FIRST_TENANT, nextBatches } from '../../src/db/publish/operational-batches';
import { MAX_DELIVERIES_PER_BATCH, MAX_FAN_OUT } from '../../src/db/publish/publish-operational';
import { createLog } from '../../src/log';
import { MAX_DELIVERIES_PER_SECOND } from '../../src/relay/operational-events';
import { until } from '../support/until';
import { outboxForFile, publishOutbox, webhook } from './support';

/** What a tenant with very many operational events may do at once; its id is before those of the others. */
const EAGER = webhook(1);
const MODEST = [webhook(2), webhook(3)];
/** At the bound they take ten minutes. */
const ROWS = 3_000;
const TYPE = 'posthorn.webhook.failing';

const { db, start } = outboxForFile();
let pool: Pool;

beforeAll(async () => {
  pool = db.pool;
});
beforeEach(async () => {
  await subscribe(EAGER, TYPE, MAX_FAN_OUT);
  for (const tenant of MODEST) await subscribe(tenant, TYPE, 1);
});

const subscribe = (tenant: string, pattern: string, webhooks: number) =>
  pool.query(
    `insert into subscriptions (tenant_id, pattern, webhook_id)
     select $1, $2, ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid from generate_series(1, $3) n`,
    [tenant, pattern, webhooks],
  );
const raise = (tenant: string, rows: number, type = TYPE) =>
  pool.query(
    `insert into operational_outbox (tenant_id, type, webhook_id, details)
     select $1, $2, $1, '{}' from generate_series(1, $3)`,
    [tenant, type, rows],
  );
const count = async (table: string, tenant: string) =>
  (await pool.query(`select count(*)::int as n from ${table} where tenant_id = $1`, [tenant])).rows[0].n as number;

/** Deliveries that each transaction made, oldest first. */
const perTransaction = async (tenant: string): Promise<number[]> => {
  const { rows } = await pool.query(
    `select count(*)::int as n from delivery_queue where tenant_id = $1 group by xmin::text order by min(seq)`,
    [tenant],
  );
  return rows.map(({ n }) => n);
};

describe('a batch makes so many deliveries', () => {
  test('however many webhooks its events go to, and at least those of one event', async () => {
    await raise(EAGER, 50);
    const [result] = await publishOutbox(pool);
    const published = MAX_DELIVERIES_PER_BATCH / MAX_FAN_OUT;
    expect(result).toMatchObject({ published, deliveries: MAX_DELIVERIES_PER_BATCH });
    expect(await count('events', EAGER)).toBe(published);
    expect(await count('operational_outbox', EAGER)).toBe(50 - published);
    await pool.query('truncate subscriptions');
    await subscribe(EAGER, TYPE, 1);
    await publishOutbox(pool);
    expect(await count('operational_outbox', EAGER)).toBeLessThan(50 - 5 * published);
  });

  test('which are counted by type, and in the order of the rows', async () => {
    await subscribe(EAGER, 'posthorn.webhook.recovered', 10);
    await raise(EAGER, 1);
    await raise(EAGER, 3, 'posthorn.webhook.recovered');
    await raise(EAGER, 1, 'posthorn.webhook.disabled'); // nobody asks for it
    await raise(EAGER, 3);
    const [result] = await publishOutbox(pool);
    expect(result).toMatchObject({ published: 5, deliveries: MAX_FAN_OUT + 30 });
    const { rows } = await pool.query('select type, count(*)::int as n from operational_outbox group by type');
    expect(rows).toEqual([{ type: TYPE, n: 3 }]);
  });

  test('also where its rows are tried one by one', async () => {
    await raise(EAGER, 1, 'posthorn.webhook.recovered');
    await raise(EAGER, 19);
    await pool.query(`
      create function poison() returns trigger language plpgsql as $$ begin
        if new.type = 'posthorn.webhook.recovered' then raise exception 'no'; end if; return new; end $$;
      create trigger poison before insert on events for each row execute function poison()`);
    const [result] = await publishOutbox(pool);
    expect(result).toMatchObject({ deliveries: MAX_DELIVERIES_PER_BATCH, failures: [{ errorCode: 'P0001' }] });
  });
});

test('who rests is passed over, and others have their rows', async () => {
  await raise(EAGER, 5);
  for (const tenant of MODEST) await raise(tenant, 1);
  const { batches } = await nextBatches(pool, FIRST_TENANT, 50, [EAGER, MODEST[1]!]);
  expect(batches.map(({ rows }) => rows.length)).toEqual([0, 1, 0]);
});

test('a tenant with very many rows for many webhooks is in nobody’s way', async () => {
  await raise(EAGER, ROWS);
  const running = start(createLog('silent'));
  await until('the first of very many', async () => (await count('events', EAGER)) > 0);
  for (const tenant of MODEST) {
    await raise(tenant, 1);
    running.nudge();
    await until('the only one', async () => (await count('delivery_queue', tenant)) === 1);
  }
  expect(await count('operational_outbox', EAGER)).toBeGreaterThan(ROWS / 2);
});

test('a tenant with very many rows does not fill the queue faster than it may', async () => {
  await raise(EAGER, ROWS);
  const running = start(createLog('silent'));
  await until('some batches', async () => (await perTransaction(EAGER)).length >= 5);
  await running.stop();
  const made = await perTransaction(EAGER);
  expect(new Set(made)).toEqual(new Set([MAX_DELIVERIES_PER_BATCH]));
  const { rows } = await pool.query(
    'select extract(epoch from max(created_at) - min(created_at))::float8 as s from events where tenant_id = $1',
    [EAGER],
  );
  // What came after the first batch had to wait for its time: on a slow machine it is later still.
  const later = (made.length - 1) * MAX_DELIVERIES_PER_BATCH;
  expect(later).toBeLessThanOrEqual(1.02 * MAX_DELIVERIES_PER_SECOND * rows[0].s);
});
