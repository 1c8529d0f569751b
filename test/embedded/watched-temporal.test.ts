import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { temporaryDataDir } from '../../src/embedded/folders';
import { startWatchedTemporal, type WatchedTemporal } from '../../src/embedded/watched-temporal';
import { hasSqlite, lockSqlite } from '../support/sqlite-lock';
import { until } from '../support/until';

jest.setTimeout(240_000);
const LIMIT_MS = 100_000;

const folder = temporaryDataDir();
let temporal: WatchedTemporal | undefined;
let dbFile: string;
let files = 0;
let events: string[];
let states: string[];
let onRestart: () => void;

async function start(options: { inMemory?: boolean; patienceMs?: number } = {}): Promise<WatchedTemporal> {
  dbFile = join(folder, `temporal-${files++}.db`);
  events = [];
  states = [];
  onRestart = () => undefined;
  temporal = await startWatchedTemporal(options.inMemory ? {} : { dbFile }, {
    onRestart(why) {
      events.push(`restart: ${why}`);
      onRestart();
    },
    onRestarted: () => events.push('restarted'),
    onNotRestarted: (why) => events.push(`not restarted: ${why}`),
    onLook: ({ kind }) => states.push(kind),
    everyMs: 100,
    patienceMs: options.patienceMs ?? 2_000,
  });
  return temporal;
}

async function withClient<T>(address: string, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}
const startWorkflow = (address: string, workflowId: string) =>
  withClient(address, (client) => client.workflow.start('any', { taskQueue: 'nobody', workflowId }));
const statusOf = (address: string, workflowId: string) =>
  withClient(address, async (client) => (await client.workflow.getHandle(workflowId).describe()).status.name);

afterEach(() => temporal?.stop());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Loud where it cannot be tried.
if (!hasSqlite) console.warn('SKIPPED: a Temporal that answers and takes no write needs python3 with sqlite3');
const withSqlite = hasSqlite ? test : test.skip;

withSqlite('one that answers and takes no write is restarted, on its port and its data', async () => {
  const { address, pid } = await start();
  await startWorkflow(address, 'before');
  const release = await lockSqlite(dbFile);
  // Only once it has been given up on is the file free for the next one.
  onRestart = () => void release();
  await until('the restart', () => events.includes('restarted'), LIMIT_MS);
  expect(events[0]).toMatch(/^restart: it has answered for \d+ s and taken no write: \S+/);
  expect(temporal!.pid).not.toBe(pid);
  expect(temporal!.address).toBe(address);
  expect(await statusOf(address, 'before')).toBe('RUNNING');
  await startWorkflow(address, 'after');
  const looks = states.length;
  await until('it to be looked at again', () => states.length > looks);
  expect(states.at(-1)).toBe('works');
});

withSqlite('a lock that is gone before the patience is over restarts nothing', async () => {
  const { pid } = await start({ patienceMs: 600_000 });
  const release = await lockSqlite(dbFile);
  await until('three failed looks', () => states.filter((state) => state === 'fails').length >= 3, LIMIT_MS);
  await release();
  await until('it to work again', () => states.at(-1) === 'works', LIMIT_MS);
  expect(events).toEqual([]);
  expect(temporal!.pid).toBe(pid);
});

test('a server that does not answer at all is left alone: it is suspended, or the machine is busy', async () => {
  const { pid } = await start({ patienceMs: 0 });
  await until('a first look', () => states.includes('works'), LIMIT_MS);
  process.kill(pid, 'SIGSTOP');
  try {
    await until('four silent looks', () => states.filter((state) => state === 'silent').length >= 4, LIMIT_MS);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until('it to work again', () => states.at(-1) === 'works', LIMIT_MS);
  expect(events).toEqual([]);
  expect(temporal!.pid).toBe(pid);
});

test.each([false, true])('a server that ended by itself is started again (in memory: %s)', async (inMemory) => {
  const { pid, address } = await start({ inMemory });
  if (!inMemory) await startWorkflow(address, 'kept');
  process.kill(pid, 'SIGKILL');
  await until('the restart', () => events.includes('restarted'), LIMIT_MS);
  expect(events).toEqual(['restart: it ended (SIGKILL)', 'restarted']);
  if (!inMemory) expect(await statusOf(address, 'kept')).toBe('RUNNING');
  await startWorkflow(address, 'after');
});

test('a server that is stopped stays so', async () => {
  const { pid } = await start();
  await temporal!.stop();
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(events).toEqual([]);
});
