import { FIRST_CURSORS } from '../../src/db/claim-cursors';
import { claimExpress } from '../../src/db/claim-express';
import { type Database, openDatabase } from '../../src/db/database';
import { LANE_NAMES } from '../../src/domain/lanes';
import { createTestDatabase } from '../support/database';
import { addRows, addWebhook, webhook } from './support';

const ROWS = 5_000;
const LIMIT = 10;

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  // One connection: it keeps its plans, and a session's own reads are counted once it says so.
  db = openDatabase({ url: database.url, poolSize: 1, applicationName: 'test', planner: 'queue' });
});
afterAll(async () => {
  await db?.close();
  await database?.drop();
});

const claim = () =>
  claimExpress(db.pool, {
    ...{ lanes: LANE_NAMES, cursors: FIRST_CURSORS, scan: 200, limit: LIMIT, perWebhook: 100, held: new Map() },
    leaseMs: 60_000,
    taker: { lane: 'express', modes: ['express'], installation: 'express' },
  });

/** Rows of the queue that were read so far. */
async function rowsRead(): Promise<number> {
  await db.pool.query('select pg_stat_force_next_flush()');
  const { rows } = await db.pool.query<{ n: number }>(
    `select (seq_tup_read + idx_tup_fetch)::int as n from pg_stat_user_tables where relname = 'delivery_queue'`,
  );
  return rows[0]!.n;
}

test('a claim whose plan was made while the queue was empty does not read all of a queue that has filled since', async () => {
  // As a quiet time leaves it: without rows, and known to have none.
  await addWebhook(db.pool, webhook(1), 100);
  await db.pool.query('delete from delivery_queue');
  await db.pool.query('vacuum analyze delivery_queue');
  await claim();
  await addRows(db.pool, webhook(1), ROWS);
  const before = await rowsRead();
  await claim();
  const leased = await db.pool.query('select from delivery_queue where lease_until > now()');
  const read = (await rowsRead()) - before - ROWS; // the count has read them all itself
  expect(leased.rowCount).toBe(LIMIT);
  expect(read).toBeLessThan(20 * LIMIT);
});
