import { type Database, openDatabase } from '../../src/db/database';
import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import { claimExpress } from '../../src/db/queue/claim-express';
import { PRIORITY_NAMES } from '../../src/domain/priorities';
import { describeOnEachPostgres } from '../support/debian-postgres';
import { addRows, addWebhook, HOLDER, ROOM, rowsRead, webhook } from './support';

const ROWS = 5_000;
const LIMIT = 10;

describeOnEachPostgres((server) => {
  let database: Awaited<ReturnType<typeof server.createDatabase>>;
  let db: Database;
  beforeAll(async () => {
    database = await server.createDatabase();
    // One connection: it keeps its plans, and a session's own reads are counted once it says so.
    db = openDatabase({ url: database.url, poolSize: 1, applicationName: 'test', planner: 'queue' });
  });
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  const claim = () =>
    claimExpress(db.pool, {
      ...{
        priorities: PRIORITY_NAMES,
        cursors: FIRST_CURSORS,
        scan: 200,
        limit: LIMIT,
        perWebhook: 100,
        budget: EMPTY_BUDGET,
      },
      allowance: ROOM,
      leaseMs: 60_000,
      holder: HOLDER,
      claimant: { path: 'express', modes: ['express'], defaultMode: 'express' },
    });

  /** Rows of the queue that were read so far. */
  const queueRead = () => rowsRead(db.pool, 'delivery_queue');

  test('a claim whose plan was made while the queue was empty does not read all of a queue that has filled since', async () => {
    // As a quiet time leaves it: without rows, and known to have none.
    await addWebhook(db.pool, webhook(1), 100);
    await db.pool.query('delete from delivery_queue');
    await db.pool.query('vacuum analyze delivery_queue');
    await claim();
    await addRows(db.pool, webhook(1), ROWS);
    const before = await queueRead();
    await claim();
    expect((await queueRead()) - before).toBeLessThan(20 * LIMIT);
    const leased = await db.pool.query('select from delivery_queue where lease_until > now()');
    expect(leased.rowCount).toBe(LIMIT);
  });
});
