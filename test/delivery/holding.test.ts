import { setTimeout as sleep } from 'node:timers/promises';
import { type Holding, startHolding } from '../../src/delivery/holding';
import { type Pauses, watchPauses } from '../../src/delivery/stale';
import { createLog } from '../../src/log';
import { createTestDatabase, queryOnce } from '../support/database';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import { until } from '../support/until';

const LIMIT_MS = 60_000;
jest.setTimeout(3 * LIMIT_MS);

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let proxy: HoldingProxy;
let pauses: Pauses;
const held: Holding[] = [];
const log = createLog('silent');

beforeEach(async () => {
  database = await createTestDatabase();
  proxy = await startHoldingProxy(Number(new URL(database.url).port));
  pauses = watchPauses();
});
afterEach(async () => {
  proxy.release();
  await Promise.all(held.splice(0).map((holding) => holding.stop()));
  pauses.stop();
  await proxy.close();
  await database.drop();
});

async function start(url = database.url): Promise<Holding> {
  const holding = await startHolding(url, pauses, log);
  held.push(holding);
  return holding;
}
function throughProxy(): string {
  const url = new URL(database.url);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  return url.href;
}
const query = (sql: string) => queryOnce(database.url, sql);
const ids = async () => (await query('select id from lease_holders order by id')).map(({ id }) => id as number);
const beginAgain = (holding: Holding) =>
  until('it to begin again', () => holding.begin().catch(() => undefined), LIMIT_MS);

test('each process has an id of its own, and none once it has stopped', async () => {
  const [one, two] = [await start(), await start()];
  const holds = [await one.begin(), await two.begin()];
  expect(await ids()).toEqual(holds.map(({ id }) => id));
  expect(holds.map(({ id }) => one.isOurs(id))).toEqual([true, false]);
  await one.stop();
  expect(await ids()).toEqual([holds[1]!.id]);
  await expect(one.begin()).rejects.toThrow('stops');
});

test('an id that is given up ends once nothing is in hand under it', async () => {
  const holding = await start();
  const first = await holding.begin();
  const shared = first.share();
  let settle = () => {};
  first.until(
    new Promise<void>((resolve) => {
      settle = resolve;
    }),
  );
  holding.retire(first.id);
  const next = await holding.begin();
  next.end();
  expect(next.id).not.toBe(first.id);
  first.end();
  first.end();
  shared.end();
  expect(await ids()).toEqual([first.id, next.id]);
  expect(holding.isOurs(first.id)).toBe(true);
  settle();
  await until('the old id to end', async () => (await ids()).length === 1, LIMIT_MS);
  expect(await ids()).toEqual([next.id]);
  expect(holding.isOurs(first.id)).toBe(false);
});

test('a worker that dies is found dead by another', async () => {
  const [dead] = await query('insert into lease_holders default values returning id');
  const living = await start();
  const hold = await living.begin();
  await until('the dead one to be gone', async () => !(await ids()).includes(dead.id), LIMIT_MS);
  expect(await ids()).toEqual([hold.id]);
});

test.each<[string, () => Promise<void>]>([
  ['ended', async () => proxy.cut()],
  [
    'silent for a while',
    async () => {
      proxy.hold();
      await sleep(8_000);
      proxy.release();
    },
  ],
])('a worker whose connection was %s keeps its id', async (_, disturb) => {
  await start();
  const holding = await start(throughProxy());
  const hold = await holding.begin();
  await disturb();
  const next = await beginAgain(holding);
  expect(next.id).toBe(hold.id);
  expect(await ids()).toHaveLength(2);
});

test('connections that are cut while they come about do no harm', async () => {
  const holding = await start(throughProxy());
  await holding.begin();
  for (let i = 0; i < 200; i++) {
    proxy.cut();
    await sleep(i % 7);
  }
  const next = await beginAgain(holding);
  expect(holding.isOurs(next.id)).toBe(true);
  expect(await ids()).toContain(next.id);
});

test('a worker that was judged dead begins anew under another id', async () => {
  const holding = await start();
  const hold = await holding.begin();
  await query('delete from lease_holders');
  await until('it to know', () => !holding.isOurs(hold.id), LIMIT_MS);
  const next = await beginAgain(holding);
  expect(next.id).not.toBe(hold.id);
  expect(await ids()).toEqual([next.id]);
});
