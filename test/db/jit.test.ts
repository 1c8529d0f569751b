import type { Pool } from 'pg';
import { type Database, openDatabase } from '../../src/db/database';
import { loadAttempts } from '../../src/db/queue/load-attempt';
import { queryOnce } from '../support/database';
import { describeOnDebian } from '../support/debian-postgres';
import { publishMany } from './support';

describeOnDebian((server) => {
  let database: Awaited<ReturnType<typeof server.createDatabase>>;
  let db: Database;

  beforeAll(async () => {
    database = await server.createDatabase();
    db = openDatabase({ url: database.url, poolSize: 1, applicationName: 'test', planner: 'queue' });
  });
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  /** What the server says of the plans that it carried out for the worker's load of these attempts. */
  async function plansOfLoad(attempts: Parameters<typeof loadAttempts>[1], settings: string): Promise<string> {
    const client = await db.pool.connect();
    let said = '';
    const hear = ({ message = '' }: { message?: string | undefined }) => {
      said += message;
    };
    client.on('notice', hear);
    try {
      await client.query(`load 'auto_explain'`);
      await client.query(
        `set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on; discard plans; ${settings}`,
      );
      await client.query('set client_min_messages = log');
      await loadAttempts(client as unknown as Pool, attempts);
      await client.query('reset client_min_messages; reset auto_explain.log_min_duration; reset jit');
    } finally {
      client.off('notice', hear);
      client.release();
    }
    return said;
  }

  test('the load of attempts is compiled by a session that may, and never by ours', async () => {
    const deliveries = await publishMany(db.pool, 20);
    await db.pool.query('analyze');
    const attempts = deliveries.map(({ deliveryId }) => ({ deliveryId, number: 1 }));
    const ours = await plansOfLoad(attempts, '');
    expect(ours).toContain('delivery_queue');
    expect(ours).not.toContain('JIT:');
    expect(await plansOfLoad(attempts, 'set jit = on')).toContain('JIT:');
  });

  test('this server compiles plans for whoever does not say otherwise', async () => {
    expect(await queryOnce(database.url, 'select pg_jit_available() as can')).toEqual([{ can: true }]);
  });
});
