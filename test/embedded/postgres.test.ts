import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { temporaryDataDir } from '../../src/embedded/folders';
import { type EmbeddedPostgres, startPostgres } from '../../src/embedded/postgres';
import { postgresUser } from '../../src/embedded/postgres-user';
import { queryOnce } from '../support/database';

const folder = temporaryDataDir();
const dataDir = join(folder, 'postgres');
const running: EmbeddedPostgres[] = [];
const quick = { shared_buffers: '16MB', fsync: 'off' };

async function start(options: Partial<Parameters<typeof startPostgres>[0]> = {}): Promise<EmbeddedPostgres> {
  const server = await startPostgres({ dataDir, settings: quick, ...options });
  running.push(server);
  return server;
}

/** A pid that no process has. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid as number;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('data and password are kept between starts', async () => {
  const first = await start();
  await queryOnce(first.url, 'create table kept (n int)');
  await queryOnce(first.url, 'insert into kept values (42)');
  await first.stop();
  await expect(queryOnce(first.url, 'select 1')).rejects.toThrow(/ECONNREFUSED/);

  const second = await start();
  expect(await queryOnce(second.url, 'select n from kept')).toEqual([{ n: 42 }]);
});

test('listens on loopback only, asks for the password, and runs with the given settings', async () => {
  const server = await start({ settings: { ...quick, max_connections: '77' } });
  const wrong = new URL(server.url);
  wrong.password = 'wrong';
  await expect(queryOnce(wrong.href, 'select 1')).rejects.toThrow(/password authentication failed/);
  const shown = await queryOnce(
    server.url,
    `select current_setting('listen_addresses') as host, current_setting('max_connections') as connections,
            current_setting('autovacuum_naptime') as naptime`,
  );
  expect(shown).toEqual([{ host: '127.0.0.1', connections: '77', naptime: '5s' }]);
});

test('starts again right after a crash', async () => {
  const first = await start();
  await queryOnce(first.url, 'create table survived (n int)');
  first.kill9();
  await first.exited;
  expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(true);

  const second = await start();
  expect(await queryOnce(second.url, 'select n from survived')).toEqual([]);
});

describe('postmaster.pid names a living process that is not this Postgres', () => {
  let stranger: ChildProcess;
  beforeEach(() => {
    const { uid, gid } = postgresUser() ?? {}; // the same user: Postgres itself would take it for a postmaster
    stranger = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' });
  });
  afterEach(() => stranger.kill('SIGKILL'));

  test('the process is left alone, and Postgres starts', async () => {
    const first = await start();
    first.kill9();
    await first.exited;
    const file = join(dataDir, 'postmaster.pid');
    const [, ...rest] = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [stranger.pid, ...rest].join('\n'));

    const second = await start();
    expect(await queryOnce(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(stranger.exitCode).toBeNull();
    expect(stranger.signalCode).toBeNull();
  });
});

test('a server that a killed run left behind is stopped', async () => {
  const first = await start();
  writeFileSync(`${dataDir}.running`, JSON.stringify({ serverPid: first.pid, ownerPid: await deadPid() }));
  const second = await start();
  expect(await first.exited).toEqual({ code: 0, signal: null });
  expect(await queryOnce(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a server whose owner lives is an error that says so', async () => {
  const first = await start();
  await expect(start()).rejects.toThrow(`already runs on ${dataDir}, started by process ${process.pid}`);
  expect(await queryOnce(first.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a port in use is an error that names the port and the setting', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as { port: number };
  try {
    await expect(start({ port, portSetting: '--some-port' })).rejects.toThrow(
      `Port ${port} for PostgreSQL is already in use. Stop what listens there, or choose another port with --some-port.`,
    );
  } finally {
    holder.close();
  }
});

test('a setting that Postgres refuses is an error that quotes its log', async () => {
  await expect(start({ settings: { max_connections: 'many' } })).rejects.toThrow(
    /ended while it started \(exit code 1\)[\s\S]*max_connections/,
  );
});

test('an ephemeral server leaves nothing behind', async () => {
  const place = join(folder, 'ephemeral');
  mkdirSync(place, { mode: 0o755 });
  const server = await start({ dataDir: join(place, 'postgres'), ephemeral: true });
  expect(await queryOnce(server.url, 'show fsync')).toEqual([{ fsync: 'off' }]);
  await server.stop();
  for (const rest of ['postgres', 'postgres.log', 'postgres.password', 'postgres.running']) {
    expect(existsSync(join(place, rest))).toBe(false);
  }
});

test('an ephemeral run refuses a folder that holds data', async () => {
  await (await start()).stop();
  await expect(start({ ephemeral: true })).rejects.toThrow(/an ephemeral run would delete/);
  expect(existsSync(join(dataDir, 'PG_VERSION'))).toBe(true);
});
