import { Client } from 'pg';
import type { TestApi } from '../support/api';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers';
import type { RoleProcess } from '../support/processes';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import {
  createSite,
  expectUnavailable,
  note,
  numbersOf,
  pass,
  publishThroughCrashes,
  type Site,
  untilDelivered,
  untilLockedOut,
} from './support';

const LIMIT_MS = 60_000;
jest.setTimeout(LIMIT_MS + 60_000);
/** Longer than an attempt's record is tried again after. */
const AWAY_MS = 1_500;

let postgres: OwnPostgres;
let site: Site;
let api: TestApi;
let worker: RoleProcess;
let release: () => void;
let released: Promise<void>;
const receivers: Receiver[] = [];

beforeAll(async () => {
  postgres = await startOwnPostgres();
});
beforeEach(async () => {
  released = new Promise<void>((resolve) => {
    release = resolve;
  });
  site = await createSite({ POSTHORN_DELIVERY_MODE: 'express' }, postgres.url);
  api = await site.startApi();
  worker = await site.startWorker();
});
afterEach(async () => {
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});
afterAll(() => postgres?.remove());

let made = 0;
/** An endpoint for an event type of its own that holds its first answers until they are released; one delivery to it, under way. */
async function underWay(
  firstStatus: number,
  settings: object = {},
): Promise<{ receiver: Receiver; id: string; type: string }> {
  const receiver = await startReceiver(async (_, n) => {
    await released;
    return { status: n === 1 ? firstStatus : 200 };
  });
  receivers.push(receiver);
  const type = `express.n${++made}`;
  await api.createWebhook(receiver, {
    ...{ events: [type], timeout: '30s', retry_policy: { schedule: ['500ms', '1s'], jitter: 0 } },
    ...settings,
  });
  const [id] = await api.publishDeliveries(type, 1);
  await receiver.waitFor(1, LIMIT_MS);
  return { receiver, id: id!, type };
}

test.each([
  ['stopped', () => postgres.stop()],
  ['crashed', () => postgres.crash()],
])('Postgres %s between POST and record: no POST is made again, each is recorded once', async (_, takeAway) => {
  const well = await underWay(200);
  const failing = await underWay(500);
  const ordered = await underWay(200, { ordered: true });
  const [next] = await api.publishDeliveries(ordered.type, 1);

  await takeAway();
  release(); // each endpoint now answers, and nobody can write it down
  await expectUnavailable(api);
  await pass(AWAY_MS);
  await postgres.start();
  const back = performance.now();

  for (const id of [well.id, failing.id, ordered.id, next!]) await untilDelivered(api, id, LIMIT_MS);
  note('recorded once Postgres was back', back);
  expect(numbersOf(well.receiver.requests)).toEqual([1]);
  expect(numbersOf(failing.receiver.requests)).toEqual([1, 2]);
  expect(ordered.receiver.requests.map(({ headers }) => headers['x-webhook-delivery'])).toEqual([ordered.id, next]);
  expect(await api.delivery(well.id)).toMatchObject({ path: 'express', attempts: [{ number: 1, status_code: 200 }] });
  expect(await api.delivery(failing.id)).toMatchObject({
    path: 'workflow',
    attempts: [
      { number: 1, status_code: 500 },
      { number: 2, status_code: 200 },
    ],
  });
  // One line in the log for each POST, however often its record was tried.
  const posts = receivers.flatMap(({ requests }) => requests).length;
  const lines = () => worker.lines.filter((line) => line.includes('"event":"attempt"')).length;
  await until('the log to come', () => lines() >= posts);
  expect(lines()).toBe(posts);
});

test('a record that waits for longer than the lease: the process does not send again what it has in hand', async () => {
  const { receiver, id, type } = await underWay(200);
  const locks = new Client({ connectionString: postgres.url });
  await locks.connect();
  try {
    await locks.query('begin');
    await locks.query('lock table attempts in share mode');
    release();
    await untilLockedOut(site, '%jsonb_to_recordset%');
    await site.query(`update delivery_queue set lease_until = now() - interval '1 s'`);
    // What comes after it is sent; it is not, whatever the clock says.
    await api.publish(type);
    await receiver.waitFor(2, LIMIT_MS);
    await locks.query('rollback');
  } finally {
    await locks.end();
  }
  await untilDelivered(api, id, LIMIT_MS);
  await until('both to be written down', async () => (await site.query('select 1 from delivery_queue')).length === 0);
  expect(receiver.requests.filter(({ headers }) => headers['x-webhook-delivery'] === id)).toHaveLength(1);
  expect((await api.delivery(id)).attempts).toHaveLength(1);
});

test('a record whose answer was lost counts: the retry comes at its time', async () => {
  const { receiver, id } = await underWay(500);
  // A replica that does not exist: the record is committed here, and its answer waits for the replica.
  const setReplica = async (name: string) => {
    await site.query(`alter system set synchronous_standby_names = '${name}'`);
    await site.query('select pg_reload_conf()');
    await until('the setting to hold', async () => {
      const [row] = await site.query('show synchronous_standby_names');
      return row.synchronous_standby_names === name;
    });
  };
  await setReplica('nobody');
  try {
    release();
    await until('the record to be committed and unanswered', async () => {
      const cut = await site.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where wait_event = 'SyncRep' and query like '%jsonb_to_recordset%'`);
      return cut.length > 0;
    });
  } finally {
    await setReplica('');
  }
  await untilDelivered(api, id, LIMIT_MS);
  expect(numbersOf(receiver.requests)).toEqual([1, 2]);
  expect((await api.delivery(id)).attempts).toMatchObject([{ status_code: 500 }, { status_code: 200 }]);
});

test('Postgres crashed under load, again and again: what was answered 202 is delivered, and by the one worker once', async () => {
  const receiver = await startReceiver();
  receivers.push(receiver);
  await api.createWebhook(receiver, { events: ['load.*'], retry_policy: { schedule: ['1s', '1s'], jitter: 0 } });
  const { accepted } = await publishThroughCrashes(2, { api, postgres, receiver, limitMs: LIMIT_MS });

  const arrived = () => new Set(receiver.requests.map(({ headers }) => headers['webhook-id']));
  await until('what was accepted to arrive', () => accepted.every((id) => arrived().has(id)), LIMIT_MS);
  // Nothing that the database failed at was taken for a failure of the endpoint. With one worker, a lease that a crash
  // took along does not matter either: what is in hand is known.
  expect(new Set(numbersOf(receiver.requests))).toEqual(new Set([1]));
  expect(receiver.requests).toHaveLength(arrived().size);
});
