import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import { createReadiness } from '../../src/api/http/readiness';
import { type RunningApi, startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { migrateToLatest } from '../../src/db/migrate';
import { createPublishProbe, type PublishProbe } from '../../src/db/publish/publish-probe';
import { temporaryDataDir } from '../../src/embedded/folders';
import { startPostgres } from '../../src/embedded/postgres';
import { createLog } from '../../src/log';
import { TestApi } from '../support/api';
import { createTestDatabase, queryOnce } from '../support/database';
import { testEnvironment } from '../support/environment';
import { startHoldingProxy } from '../support/holding-proxy';
import { until } from '../support/until';

/** Ready means that publishing works: what `/readyz` says when it does not, how often it asks, and what the log says. */

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let running: RunningApi | undefined;
let lines: { event: string; why?: string }[];
const stops: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  lines = [];
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  for (const stop of stops.splice(0).reverse()) await stop();
  await database.drop();
});

const log = () => createLog('info', { write: (line: string) => void lines.push(JSON.parse(line)) });
const start = async (url = database.url, settings = {}) => {
  running = await startApi(readConfig(testEnvironment(url, settings)), log());
};
const ask = async () => {
  const answer = await fetch(`${running!.url}/readyz`);
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};
const untilStatus = (status: number) =>
  until(`readyz to say ${status}`, async () => {
    const answer = await ask();
    return answer.status === status && answer;
  });
/** What the log said of it, in order. */
const told = () => lines.filter(({ event }) => /ready$/.test(event)).map(({ event, why }) => why ?? event);

const READY = { status: 200, body: { status: 'ready', database: 'ok', partition_weeks_ahead: 5 } };
const name = () => new URL(database.url).pathname.slice(1);
/** The session that looks is made anew now and then; tests do not wait for it. */
const endSessions = () =>
  queryOnce(
    database.url,
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = 'posthorn-api-probe' and datname = '${name()}'`,
  );

describe('not ready, said once in the log for all who ask, and ready again by itself', () => {
  const refuseWrites = (sqlState: string) =>
    queryOnce(
      database.url,
      `create function refuse() returns trigger language plpgsql as
         $$ begin raise exception 'refused' using errcode = '${sqlState}'; end $$;
       create trigger refuse before update on publish_probe execute function refuse()`,
    );
  let week: { name: string } | undefined;
  const takeWrites = () => queryOnce(database.url, 'drop function refuse cascade');

  test.each<[string, string, () => Promise<unknown>, () => Promise<unknown>]>([
    [
      'a database that is read-only by its settings',
      'read_only',
      () =>
        queryOnce(database.url, `alter database ${name()} set default_transaction_read_only = on`).then(endSessions),
      async () => {
        const client = new Client({ connectionString: database.url, options: '-c default_transaction_read_only=off' });
        await client.connect();
        await client.query(`alter database ${name()} reset default_transaction_read_only`);
        await client.end();
      },
    ],
    // What Postgres says when a file cannot grow.
    ['a disk that is full', 'disk_full', () => refuseWrites('53100'), takeWrites],
    ['writes that are refused for another reason', 'failing', () => refuseWrites('42501'), takeWrites],
    [
      'weeks without partitions ahead',
      'partitions',
      async () => {
        [week] = await queryOnce(
          database.url,
          `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
           where i.inhparent = 'events'::regclass order by 1 desc limit 1 offset 4`,
        );
        await queryOnce(database.url, `alter table ${week!.name} rename to taken_away`);
      },
      () => queryOnce(database.url, `alter table taken_away rename to ${week!.name}`),
    ],
  ])('%s', async (_what, why, break_, mend) => {
    await start();
    expect(await ask()).toMatchObject(READY);
    await break_();
    const answer = await untilStatus(503);
    expect(answer.body).toMatchObject({ status: 'not_ready', database: why === 'partitions' ? 'ok' : why });
    for (let n = 0; n < 3; n++) await Promise.all([ask(), ask(), ask()]);
    expect(told()).toEqual([why]);
    await mend();
    expect(await untilStatus(200)).toMatchObject(READY);
    expect(told()).toEqual([why, 'ready']);
  });

  test('a standby', async () => {
    const folder = temporaryDataDir();
    const dataDir = path.join(folder, 'postgres');
    const settings = { shared_buffers: '32MB', fsync: 'off' };
    let server = await startPostgres({ dataDir, settings });
    stops.push(() => server.stop());
    await migrateToLatest(server.url);
    await start(server.url);
    expect(await ask()).toMatchObject(READY);
    await server.stop();
    expect((await untilStatus(503)).body).toMatchObject({ database: 'unreachable' });
    // What it takes to be one: it recovers, and answers what reads only.
    writeFileSync(path.join(dataDir, 'standby.signal'), '');
    server = await startPostgres({ dataDir, settings, port: Number(new URL(server.url).port) });
    await until('it to be a standby', async () => (await ask()).body.database === 'read_only');
    expect(told()).toEqual(['unreachable', 'read_only']);
  });
});

test('Postgres is silent: every question is answered, and it is not ready after some looks', async () => {
  const { port } = new URL(database.url);
  const proxy = await startHoldingProxy(Number(port));
  stops.push(() => proxy.close());
  const url = new URL(database.url);
  url.port = String(proxy.port);
  await start(url.href);
  expect(await ask()).toMatchObject(READY);
  proxy.hold();
  const first = await until('it to be noticed', async () => {
    const answer = await ask();
    return answer.body.database !== 'ok' && answer;
  });
  // Once may be a moment of much work.
  expect(first).toMatchObject({ status: 200, body: { status: 'ready', database: 'slow' } });
  expect((await untilStatus(503)).body).toMatchObject({ status: 'not_ready', database: 'unreachable' });
  await Promise.all([ask(), ask(), ask()]);
  expect(told()).toEqual(['unreachable']);
  proxy.release();
  await untilStatus(200);
  expect(told()).toEqual(['unreachable', 'ready']);
});

test('a pool whose connections are all in use is not a database that is away', async () => {
  const env = testEnvironment(database.url, { POSTHORN_DB_POOL_SIZE: '2' });
  running = await startApi(readConfig(env), log());
  const api = new TestApi(running.url, env.POSTHORN_BOOTSTRAP_KEY);
  await api.ok('GET', '/webhooks');
  const lock = new Client({ connectionString: database.url });
  await lock.connect();
  try {
    await lock.query('begin');
    await lock.query('lock table webhooks in access exclusive mode');
    // One that reads and one that writes: reads hold half of the connections at most.
    const waiting = [
      api.ok('GET', '/webhooks'),
      api.ok('POST', '/webhooks', { url: 'https://hooks.example.com/', events: ['*'] }),
    ];
    await until('both connections to be in use', async () => {
      const [{ count }] = await queryOnce(
        database.url,
        `select count(*)::int from pg_stat_activity
         where application_name = 'posthorn-api' and datname = '${name()}' and wait_event_type = 'Lock'`,
      );
      return count === 2;
    });
    expect(await ask()).toMatchObject(READY);
    await lock.query('rollback');
    await Promise.all(waiting);
  } finally {
    await lock.end();
  }
});

test('however many ask, one looks at a time, and an answer serves them all', async () => {
  const probe = createPublishProbe(database.url);
  stops.push(() => probe.close());
  let looks = 0;
  let underWay = 0;
  let most = 0;
  const counted: PublishProbe = {
    ...probe,
    async look(limitMs) {
      looks++;
      most = Math.max(most, ++underWay);
      try {
        return await probe.look(limitMs);
      } finally {
        underWay--;
      }
    },
  };
  const readiness = createReadiness(counted, { temporalReachable: async () => true }, log());
  const answers = await Promise.all(Array.from({ length: 500 }, () => readiness.answer()));
  expect(looks).toBe(1);
  expect(new Set(answers).size).toBe(1);
  expect(answers[0]!.status).toBe(200);
  await until('a second look', async () => {
    await Promise.all(Array.from({ length: 100 }, () => readiness.answer()));
    return looks > 1;
  });
  expect(most).toBe(1);
});

test('what looks takes space of the disk, and leaves none behind', async () => {
  const probe = createPublishProbe(database.url);
  stops.push(() => probe.close());
  const written = async () => {
    const [row] = await queryOnce(
      database.url,
      `select temp_bytes::int from pg_stat_database where datname = current_database()`,
    );
    return row.temp_bytes as number;
  };
  const before = await written();
  for (let n = 0; n < 50; n++) expect(await probe.look(60_000)).toEqual({ weeksAhead: 5 });
  await probe.close(); // a session that ends says what it did
  await until('the file to be counted', async () => (await written()) > before);
  const [{ bytes }] = await queryOnce(database.url, `select pg_relation_size('publish_probe')::int as bytes`);
  expect(bytes).toBe(8_192);
});
