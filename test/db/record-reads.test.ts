import { type Database, openDatabase } from '../../src/db/database';
import { recordAttempts } from '../../src/db/record-attempts';
import { createTestDatabase } from '../support/database';
import { attemptOf, DELIVERED, publishMany } from './support';

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  // One connection: a session's own reads are counted once it says so.
  db = openDatabase({ url: database.url, poolSize: 1, applicationName: 'test', planner: 'queue' });
});
afterAll(async () => {
  await db?.close();
  await database?.drop();
});

/** Rows of `deliveries` that were read so far. */
async function rowsRead(): Promise<number> {
  await db.pool.query('select pg_stat_force_next_flush()');
  const { rows } = await db.pool.query<{ n: number }>(
    `select sum(seq_tup_read + idx_tup_fetch)::int as n from pg_stat_user_tables where relname like 'deliveries_w%'`,
  );
  return rows[0]!.n;
}

test('attempts of deliveries that lie far apart are written down without reading those between', async () => {
  const claimed = await publishMany(db.pool, 600);
  await db.pool.query('analyze');
  const records = claimed.filter((_, i) => i % 20 === 0).map((delivery) => attemptOf(delivery, 1, DELIVERED));
  const before = await rowsRead();
  const { moved } = await recordAttempts(db.pool, records);
  expect(moved.size).toBe(30);
  // Once to find each, and once more where the server looks at what it updates.
  expect((await rowsRead()) - before).toBeLessThanOrEqual(60);
});
