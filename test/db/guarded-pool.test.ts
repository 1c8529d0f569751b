import { sql } from 'kysely';
import { type Database, openDatabase } from '../../src/db/database';
import { openPool, sessionOf } from '../../src/db/guarded-pool';
import { OutcomeUnknownError, wasRefused } from '../../src/db/statement-errors';
import { inTransaction, withConnection } from '../../src/db/transaction';
import { createTestDatabase, queryOnce } from '../support/database';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import { until } from '../support/until';

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let proxy: HoldingProxy;
let db: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  await queryOnce(database.url, 'create table notes (text text primary key)');
  proxy = await startHoldingProxy(Number(new URL(database.url).port));
});
beforeEach(async () => {
  await queryOnce(database.url, 'truncate notes');
  const url = new URL(database.url);
  url.port = String(proxy.port);
  // Given up on after 2.1 s: 2 s later than Postgres itself would.
  const timing = { statementTimeoutMs: 100 };
  db = openDatabase({ url: url.href, poolSize: 1, applicationName: 'guarded', planner: 'default', ...timing });
});
afterEach(async () => {
  proxy.release();
  await db.close();
});
afterAll(async () => {
  await proxy?.close();
  await database?.drop();
});

const write = (text: string) => sql`insert into notes values (${text})`;
const notes = async () => (await queryOnce(database.url, 'select text from notes order by 1')).map(({ text }) => text);
const sessions = () =>
  queryOnce(database.url, `select pid, state from pg_stat_activity where application_name = 'guarded'`);
const pidOf = async () => (await db.pool.query('select pg_backend_pid() as pid')).rows[0].pid as number;

/** What a connection of unknown state would do: what is answered is not there for anybody else. */
async function expectSound(before: number): Promise<void> {
  await db.pool.query(`insert into notes values ('after')`);
  await write('after, by kysely').execute(db.kysely);
  expect(await notes()).toEqual(expect.arrayContaining(['after', 'after, by kysely']));
  // Not by the limit on transactions that nobody goes on with, which is 30 s.
  const gone = async () => !(await sessions()).some(({ pid }) => pid === before);
  await until('the lost connection to end', gone, 20_000);
  expect((await sessions()).filter(({ state }) => state !== 'idle')).toEqual([]);
}

const holdAt = {
  'begin of kysely': () => {
    proxy.hold();
    return db.kysely.transaction().execute((tx) => write('in it').execute(tx));
  },
  'a statement in a transaction of kysely': () =>
    db.kysely.transaction().execute(async (tx) => {
      await write('in it').execute(tx);
      proxy.hold();
      await write('given up on').execute(tx);
    }),
  'a statement in a transaction whose error is passed over': () =>
    db.kysely.transaction().execute(async (tx) => {
      await write('in it').execute(tx);
      proxy.hold();
      await write('given up on')
        .execute(tx)
        .catch(() => undefined);
      proxy.release();
    }),
  'the rollback of kysely': () =>
    db.kysely.transaction().execute(async (tx) => {
      await write('in it').execute(tx);
      proxy.hold();
      throw new Error('refused by us');
    }),
  'a statement of kysely': () => {
    proxy.hold();
    return sql`begin`.execute(db.kysely);
  },
  'a statement of the pool': () => {
    proxy.hold();
    return db.pool.query('begin');
  },
  'begin on a connection of its own': () =>
    withConnection(db.pool, (client) => {
      proxy.hold();
      return inTransaction(client, () => client.query(`insert into notes values ('in it')`));
    }),
  'a statement on a connection that is given back as if nothing had been': async () => {
    const client = await db.pool.connect();
    proxy.hold();
    await client.query('begin').catch(() => undefined);
    client.release();
    throw new Error('given back');
  },
};

describe.each(Object.keys(holdAt) as (keyof typeof holdAt)[])('%s is held back until it is given up on', (where) => {
  test('nothing of it is done, and its connection is not used again', async () => {
    const pid = await pidOf();
    await expect(holdAt[where]()).rejects.toThrow();
    proxy.release();
    await expectSound(pid);
    expect(await notes()).not.toContain('in it');
  });
});

test('COMMIT is held back until it is given up on: the error says that the outcome is not known', async () => {
  const pid = await pidOf();
  const work = db.kysely.transaction().execute(async (tx) => {
    await write('in it').execute(tx);
    proxy.hold();
  });
  await expect(work).rejects.toThrow(OutcomeUnknownError);
  proxy.release();
  await expectSound(pid);
  // Here it came to Postgres in the end.
  expect(await notes()).toContain('in it');
});

test('a connection that is cut while COMMIT is under way: the outcome is not known', async () => {
  const work = withConnection(db.pool, (client) =>
    inTransaction(client, async () => {
      await client.query(`insert into notes values ('in it')`);
      setImmediate(proxy.cut);
    }),
  );
  await expect(work).rejects.toThrow(OutcomeUnknownError);
  await db.pool.query('select 1');
});

test('a connection that is given back inside a transaction is destroyed, and what it did is taken back', async () => {
  const pid = await pidOf();
  const client = await db.pool.connect();
  await client.query('begin');
  await client.query(`insert into notes values ('in it')`);
  client.release();
  await expectSound(pid);
  expect(await notes()).not.toContain('in it');
});

test('a connection that is given back with a statement under way is destroyed', async () => {
  const pid = await pidOf();
  const client = await db.pool.connect();
  const begun = client.query('begin');
  client.release();
  await expect(begun).rejects.toThrow();
  await expectSound(pid);
});

test('a transaction in which a refusal was passed over is not taken for done', async () => {
  const work = db.kysely.transaction().execute(async (tx) => {
    await write('in it').execute(tx);
    await write('in it')
      .execute(tx)
      .catch(() => undefined);
  });
  await expect(work).rejects.toThrow('rolled back instead of committed');
  expect(await notes()).toEqual([]);
});

test('what went well keeps its connection, and so does what we refused ourselves', async () => {
  const pid = await pidOf();
  await db.kysely.transaction().execute((tx) => write('one').execute(tx));
  await expect(db.kysely.transaction().execute(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await pidOf()).toBe(pid);
  expect(await notes()).toEqual(['one']);
});

test('a statement that Postgres refuses is refused; a session that it ends may have done it', async () => {
  await write('one').execute(db.kysely);
  const twice = await write('one')
    .execute(db.kysely)
    .catch((error: unknown) => error);
  expect(wasRefused(twice)).toBe(true);
  // Of a pool whose statements have time: the others' end after 0.1 s.
  const patient = openPool({ connectionString: database.url, max: 1 });
  const pid = (await patient.query('select pg_backend_pid() as pid')).rows[0].pid;
  const ended = patient.query('select pg_sleep(600)').catch((error: unknown) => error);
  await until('it to run', async () => {
    const running = `select 1 from pg_stat_activity where pid = ${pid} and state = 'active' and query like '%pg_sleep%'`;
    return (await queryOnce(database.url, running)).length > 0;
  });
  await queryOnce(database.url, `select pg_terminate_backend(${pid})`);
  expect(wasRefused(await ended)).toBe(false);
  await patient.end();
});

test('every session keeps its plans from being compiled, whatever the URL asks for', async () => {
  expect((await db.pool.query('show jit')).rows).toEqual([{ jit: 'off' }]);
  const url = `${database.url}?options=-c%20jit%3Don%20-c+work_mem%3D5MB&sslmode=disable`;
  const own = openDatabase({ url, poolSize: 1, applicationName: 'test', planner: 'default' });
  const { rows } = await own.pool.query(
    `select current_setting('jit') as jit, current_setting('work_mem') as mem,
       current_setting('idle_in_transaction_session_timeout') as idle`,
  );
  await own.close();
  expect(rows).toEqual([{ jit: 'off', mem: '5MB', idle: '30s' }]);
});

test.each([
  ['postgres://a@b/c', 'postgres://a@b/c', '-c jit=off'],
  ['postgres://a@b/c?options=-c%20x%3D1', 'postgres://a@b/c?', '-c x=1 -c jit=off'],
  ['postgres://a@b/c?ssl=true&options=-c+x%3D1&host=/run', 'postgres://a@b/c?ssl=true&host=/run', '-c x=1 -c jit=off'],
])('settings of the session in %s', (url, connectionString, options) => {
  expect(sessionOf({ connectionString: url })).toEqual({ connectionString, options });
});
