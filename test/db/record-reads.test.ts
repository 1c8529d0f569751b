import { type Database, openDatabase } from '../../src/db/database';
import { describeOnEachPostgres } from '../support/debian-postgres';
import { attemptOf, DELIVERED, publishMany, recordAttempts, rowsRead } from './support';

describeOnEachPostgres((server) => {
  let database: Awaited<ReturnType<typeof server.createDatabase>>;
  let db: Database;

  beforeAll(async () => {
    database = await server.createDatabase();
    // One connection: a session's own reads are counted once it says so.
    db = openDatabase({ url: database.url, poolSize: 1, applicationName: 'test', planner: 'queue' });
  });
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  /** Rows of `deliveries` that were read so far. */
  const deliveriesRead = () => rowsRead(db.pool, 'deliveries_w%');

  test('attempts of deliveries that lie far apart are written down without reading those between', async () => {
    const claimed = await publishMany(db.pool, 600);
    await db.pool.query('analyze');
    const records = claimed.filter((_, i) => i % 20 === 0).map((delivery) => attemptOf(delivery, 1, DELIVERED));
    const before = await deliveriesRead();
    const { moved } = await recordAttempts(db.pool, records);
    expect(moved.size).toBe(30);
    // Once to find each, and once more where the server looks at what it updates.
    expect((await deliveriesRead()) - before).toBeLessThanOrEqual(60);
  });

  test('a delivery that succeeds is written without touching an index: its row stays on its page', async () => {
    const claimed = await publishMany(db.pool, 40);
    const updates = async () => {
      await db.pool.query('select pg_stat_force_next_flush()');
      const { rows } = await db.pool.query<{ all: number; hot: number }>(
        `select sum(n_tup_upd)::int as all, sum(n_tup_hot_upd)::int as hot from pg_stat_user_tables
         where relname like 'deliveries_w%'`,
      );
      return rows[0]!;
    };
    const before = await updates();
    await recordAttempts(
      db.pool,
      claimed.map((delivery) => attemptOf(delivery, 1, DELIVERED)),
    );
    const after = await updates();
    expect(after.all - before.all).toBe(40);
    // All but those whose page is full; none where an index holds what changes.
    expect(after.hot - before.hot).toBeGreaterThan(30);
  });
});
