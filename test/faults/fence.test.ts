import { setTimeout as sleep } from 'node:timers/promises';
import type { TestApi } from '../support/api';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import { type OwnTemporal, startOwnTemporal } from '../support/own-servers';
import type { RoleProcess } from '../support/processes';
import { type ReceivedRequest, type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { attemptsOf, createSite, repeated, type Site } from './support';

/** An attempt is POSTed once as long as its worker lives, whatever else stands still. Two workers in each of these. */

const LIMIT_MS = 300_000;
jest.setTimeout(LIMIT_MS + 120_000);

/** Longer than the heartbeat timeout of an activity and a workflow task's, both 10 s. */
const STILL_MS = 14_000;
/** Slower than those, and within the POST's own limit. */
const SLOW_MS = 12_000;

let temporal: OwnTemporal;
let engine: HoldingProxy;
let site: Site;
let api: TestApi;
let workers: RoleProcess[];
const receivers: Receiver[] = [];

// One for all of them: a proxy in front of it is what stands still.
beforeAll(async () => {
  temporal = await startOwnTemporal();
  engine = await startHoldingProxy(Number(temporal.address.split(':')[1]));
});
afterAll(async () => {
  await engine?.close();
  await temporal?.remove();
});

async function start(
  overrides: Record<string, string> = {},
  ofWorkers: Record<string, string>[] = [{}, {}],
  ofApi: Record<string, string> = {},
): Promise<void> {
  site = await createSite({
    TEMPORAL_ADDRESS: `127.0.0.1:${engine.port}`,
    POSTHORN_SHUTDOWN_GRACE: '5s',
    POSTHORN_RECONCILE_EVERY: '1s',
    ...overrides,
  });
  api = await site.startApi(ofApi);
  workers = await Promise.all(ofWorkers.map((more) => site.startWorker(more)));
}
afterEach(async () => {
  engine.release();
  for (const worker of workers) worker.resume();
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

async function endpoint(type: string, handler: Parameters<typeof startReceiver>[0], settings: object = {}) {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  const webhook = await api.createWebhook(receiver, {
    events: [type],
    timeout: '30s',
    retry_policy: { schedule: ['1s', '1s', '1s'], jitter: 0 },
    circuit_breaker: null,
    ...settings,
  });
  return { receiver, ...webhook };
}

async function untilAllEnded(): Promise<void> {
  await until(
    'every delivery to end',
    async () => (await site.query('select 1 from delivery_queue limit 1')).length === 0,
    LIMIT_MS,
  );
}

/** What the record says was made is what came, each number once. */
async function expectEachOnce(): Promise<void> {
  const sent = receivers.flatMap(({ requests }) => attemptsOf(requests));
  expect(repeated(sent)).toEqual([]);
  const [recorded] = await site.query('select count(*)::int as n from attempts');
  expect(recorded.n).toBe(sent.length);
  const wrong = await site.query(`select d.id from deliveries d
    where attempt_count <> (select count(*) from attempts a where a.delivery_id = d.id)`);
  expect(wrong).toEqual([]);
}

test('Temporal stands still while slow attempts are under way, first ones and second ones: none is POSTed again', async () => {
  await start({ POSTHORN_DELIVERY_MODE: 'workflow' });
  const slow = (slowNumber: string) => (request: ReceivedRequest) =>
    request.headers['x-webhook-attempt'] === slowNumber ? { status: 204, delayMs: SLOW_MS } : { status: 500 };
  const first = await endpoint('slow.first', slow('1'));
  const second = await endpoint('slow.second', slow('2'));
  await Promise.all(Array.from({ length: 16 }, (_, n) => api.publish('slow.second', { n })));
  const underWay = ({ receiver }: typeof first, number: string) =>
    receiver.requests.filter(({ headers }) => headers['x-webhook-attempt'] === number).length;
  await until('second attempts to be under way', () => underWay(second, '2') >= 8, LIMIT_MS);
  await Promise.all(Array.from({ length: 16 }, (_, n) => api.publish('slow.first', { n })));
  await until('first attempts to be under way', () => underWay(first, '1') >= 8, LIMIT_MS);
  engine.hold();
  await sleep(STILL_MS);
  engine.release();
  await untilAllEnded();
  await expectEachOnce();
});

test('a worker that is cut off from Postgres for 40 s keeps what it has in hand, though another one lives', async () => {
  await start({ POSTHORN_DELIVERY_MODE: 'express' }, []);
  const url = new URL(site.env.DATABASE_URL!);
  const database = await startHoldingProxy(Number(url.port));
  url.port = String(database.port);
  url.hostname = '127.0.0.1';
  try {
    workers = [await site.startWorker({ DATABASE_URL: url.href })];
    const { receiver } = await endpoint('cut.off', () => ({ status: 204, delayMs: 5_000 }));
    await Promise.all(Array.from({ length: 10 }, (_, n) => api.publish('cut.off', { n })));
    await receiver.waitFor(10, LIMIT_MS);
    database.hold();
    workers.push(await site.startWorker());
    await sleep(40_000);
    database.release();
    await untilAllEnded();
    await expectEachOnce();
    expect(receiver.requests).toHaveLength(10);
  } finally {
    database.release();
    await Promise.all(workers.map((worker) => worker.stop()));
    await database.close();
  }
});

test.each([
  ['ahead', -10],
  ['back', 10],
])(
  'Postgres’ clock is set %s by 10 minutes while POSTs are under way: none is made again, and nothing waits for it',
  async (_, minutes) => {
    await start({ POSTHORN_DELIVERY_MODE: 'express' });
    const { receiver } = await endpoint('jump.made', () => ({ status: 204, delayMs: 3_000 }));
    const paced = await endpoint('jump.paced', () => ({ status: 204 }), { rate_limit: '5/1s' });
    const ordered = await endpoint('jump.ordered', () => ({ status: 204, delayMs: 50 }), { ordered: true });
    await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        for (const type of ['jump.made', 'jump.paced']) await api.publish(type, { n });
      }),
    );
    for (let n = 0; n < 5; n++) await api.publish('jump.ordered', { n });
    await receiver.waitFor(10, LIMIT_MS);
    await moveTimes(minutes);
    for (let n = 5; n < 10; n++) await api.publish('jump.ordered', { n });
    for (let n = 0; n < 5; n++) await api.publish('jump.paced', { n: 10 + n });
    await untilAllEnded();
    await expectEachOnce();
    expect(receiver.requests).toHaveLength(10);
    expect(paced.receiver.requests).toHaveLength(15);
    expect(ordered.receiver.requests.map(({ body }) => JSON.parse(body.toString()).data.n)).toEqual([
      ...Array(10).keys(),
    ]);
  },
);

/** A clock that is set ahead finds all that was written before it longer ago, and one that is set back in the future. */
async function moveTimes(minutes: number): Promise<void> {
  const by = `interval '${minutes} minutes'`;
  await site.query(`update delivery_queue set lease_until = lease_until + ${by} where lease_until > 'epoch'`);
  await site.query(`update webhook_gates set rate_next_at = rate_next_at + ${by}, blocked_until = blocked_until + ${by},
    slot_until = slot_until + ${by} where rate_next_at > 'epoch' or slot_until > 'epoch'`);
}

const PRELOAD = require.resolve('../support/fixtures/moved-clock.cjs');
const movedBy = (ms: number) => ({ NODE_OPTIONS: `--require ${PRELOAD}`, MOVED_CLOCK_MS: String(ms) });

test.each([
  ['ahead', 600_000],
  ['behind', -600_000],
])(
  'a worker, and an api, whose clock is 10 minutes %s: retries come at the time of the schedule, wishes are met',
  async (_, ms) => {
    await start({}, [movedBy(ms)], movedBy(ms));
    const own = await site.startApi();
    for (const mode of ['express', 'workflow']) {
      const type = `clock.${mode}`;
      const { receiver } = await endpoint(type, (_request, n) => ({ status: n < 3 ? 500 : 204 }), {
        mode,
        retry_policy: { schedule: ['2s', '2s'], jitter: 0 },
      });
      await api.publish(type);
      const requests = await receiver.waitFor(3, LIMIT_MS);
      // Not at once, and not ten minutes later either.
      const gaps = [requests[1]!.at - requests[0]!.at, requests[2]!.at - requests[1]!.at];
      expect(Math.min(...gaps)).toBeGreaterThan(1_500);
      const waits = await endpoint(`${type}.waits`, (_request, n) => ({ status: n === 1 ? 500 : 204 }), {
        mode,
        retry_policy: { schedule: ['1h'], jitter: 0 },
      });
      const [id] = await api.publishDeliveries(`${type}.waits`, 1);
      await own.untilStatus(id!, 'retrying', LIMIT_MS);
      await own.ok('POST', `/deliveries/${id}/reschedule`, { at: new Date(Date.now() + 1_000).toISOString() });
      await own.untilStatus(id!, 'delivered', LIMIT_MS);
      expect(waits.receiver.requests).toHaveLength(2);
    }
    await untilAllEnded();
    expect(workers[0]!.lines.filter((line) => line.includes('"event":"clocks_differ"'))).toHaveLength(1);
  },
);

test('a worker killed with POSTs under way is found dead by another, which goes on; its own are left alone', async () => {
  await start();
  const EACH = 10;
  for (const mode of ['express', 'workflow']) {
    await endpoint(`dies.${mode}`, (_request, n) => ({ status: 204, delayMs: n <= EACH ? 8_000 : 0 }), {
      mode,
    });
    await Promise.all(Array.from({ length: EACH }, (_, n) => api.publish(`dies.${mode}`, { n })));
  }
  for (const receiver of receivers) await receiver.waitFor(EACH, LIMIT_MS);
  const [dying, living] = workers;
  const before = dying!.lines.filter((line) => line.includes('"event":"attempt"')).length;
  await dying!.kill9();
  await untilAllEnded();
  const states = await site.query('select state, count(*)::int as n from deliveries group by 1');
  expect(states).toEqual([{ state: 'delivered', n: 2 * EACH }]);
  // What came twice was the dead one's: the other has one line for each of its own, and one for each that it took over.
  const twice = receivers.flatMap(({ requests }) => repeated(attemptsOf(requests)));
  const made = living!.lines.filter((line) => line.includes('"event":"attempt"')).length;
  expect(before + made).toBe(2 * EACH);
  expect(receivers.flatMap(({ requests }) => requests).length).toBe(2 * EACH + twice.length);
});

test('the deliveries of a deleted webhook end while Temporal is away, however many they are', async () => {
  await start({ POSTHORN_DELIVERY_MODE: 'express' });
  const { id } = await endpoint('to.delete', () => ({ status: 500 }), {
    retry_policy: { schedule: ['1h'], jitter: 0 },
  });
  await api.publish('to.delete');
  await until(
    'one to wait',
    async () => (await site.query('select 1 from delivery_queue where timed')).length === 1,
    LIMIT_MS,
  );
  engine.hold();
  await api.ok('POST', `/webhooks/${id}/pause`);
  for (let batch = 0; batch < 10; batch++) {
    const events = Array.from({ length: 1_000 }, (_, n) => ({ type: 'to.delete', data: { n } }));
    await api.ok('POST', '/events/batch', { events });
  }
  await api.ok('DELETE', `/webhooks/${id}`);
  await untilAllEnded();
  const states = await site.query('select state, count(*)::int as n from deliveries group by 1');
  expect(states).toEqual([{ state: 'cancelled', n: 10_001 }]);
});
