import { type Database, openDatabase } from '../../src/db/database';
import { recordAttempts } from '../../src/db/record-attempts';
import { describeOnEachPostgres } from '../support/debian-postgres';
import { attemptOf, DELIVERED, publishMany, rowsRead } from './support';

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
});
