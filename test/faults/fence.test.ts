import { setTimeout as sleep } from 'node:timers/promises';
import type { TestApi } from '../support/api';
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy';
import { type OwnTemporal, startOwnTemporal } from '../support/own-servers';
import type { RoleProcess } from '../support/processes';
import { type Receiver, startReceiver } from '../support/receiver';
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

async function start(overrides: Record<string, string>, ofWorkers: Record<string, string>[] = [{}, {}]): Promise<void> {
  temporal = await startOwnTemporal();
  engine = await startHoldingProxy(Number(temporal.address.split(':')[1]));
  site = await createSite({
    TEMPORAL_ADDRESS: `127.0.0.1:${engine.port}`,
    POSTHORN_SHUTDOWN_GRACE: '5s',
    POSTHORN_RECONCILE_EVERY: '1s',
    ...overrides,
  });
  api = await site.startApi();
  workers = await Promise.all(ofWorkers.map((more) => site.startWorker(more)));
}
afterEach(async () => {
  engine?.release();
  for (const worker of workers ?? []) worker.resume();
  await site?.stop();
  await engine?.close();
  await temporal?.remove();
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

test.each([
  ['first attempts', '1'],
  ['second attempts', '2'],
])('Temporal stands still while slow %s are under way: none is POSTed again', async (_, slowNumber) => {
  await start({ POSTHORN_FIRST_ATTEMPT: 'workflow' });
  const { receiver } = await endpoint('slow.one', ({ headers }) =>
    headers['x-webhook-attempt'] === slowNumber ? { status: 204, delayMs: SLOW_MS } : { status: 500 },
  );
  await Promise.all(Array.from({ length: 16 }, (_, n) => api.publish('slow.one', { n })));
  const slow = () => receiver.requests.filter(({ headers }) => headers['x-webhook-attempt'] === slowNumber).length;
  await until('slow attempts to be under way', () => slow() >= 8, LIMIT_MS);
  engine.hold();
  await sleep(STILL_MS);
  engine.release();
  await untilAllEnded();
  await expectEachOnce();
});

test('a worker that is cut off from Postgres for 40 s keeps what it has in hand, though another one lives', async () => {
  await start({ POSTHORN_FIRST_ATTEMPT: 'express' }, []);
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
    await start({ POSTHORN_FIRST_ATTEMPT: 'express' });
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
  await site.query(`update webhook_gates set tat = tat + ${by}, blocked_until = blocked_until + ${by},
    slot_until = slot_until + ${by} where tat > 'epoch' or slot_until > 'epoch'`);
}

test.each([
  ['ahead', 600_000],
  ['behind', -600_000],
])('a worker whose clock is 10 minutes %s tries again at the time of the schedule', async (_, skewMs) => {
  const preload = require.resolve('../support/fixtures/moved-clock.cjs');
  const moved = { NODE_OPTIONS: `--require ${preload}`, MOVED_CLOCK_MS: String(skewMs) };
  for (const mode of ['express', 'workflow'] as const) {
    await start({ POSTHORN_FIRST_ATTEMPT: mode }, [moved]);
    const { receiver } = await endpoint('clock.moved', (_request, n) => ({ status: n < 3 ? 500 : 204 }), {
      retry_policy: { schedule: ['2s', '2s'], jitter: 0 },
    });
    await api.publish('clock.moved');
    const requests = await receiver.waitFor(3, LIMIT_MS);
    // Not at once, and not ten minutes later either.
    const gaps = [requests[1]!.at - requests[0]!.at, requests[2]!.at - requests[1]!.at];
    expect(Math.min(...gaps)).toBeGreaterThan(1_500);
    await untilAllEnded();
    const differs = workers[0]!.lines.filter((line) => line.includes('"event":"clocks_differ"'));
    expect(differs).toHaveLength(1);
    await site.stop();
    await engine.close();
    await temporal.remove();
  }
});

test.each(['express', 'workflow'])(
  'killed with POSTs under way in mode %s: another worker finds it dead and goes on, one that lives is left alone',
  async (mode) => {
    await start({ POSTHORN_FIRST_ATTEMPT: mode });
    const { receiver } = await endpoint('who.dies', (_request, n) =>
      n <= 10 ? { status: 204, delayMs: 8_000 } : { status: 204 },
    );
    await Promise.all(Array.from({ length: 10 }, (_, n) => api.publish('who.dies', { n })));
    await receiver.waitFor(10, LIMIT_MS);
    const [dying] = workers;
    await dying!.kill9();
    await untilAllEnded();
    const counts = await site.query('select state, count(*)::int as n from deliveries group by 1');
    expect(counts).toEqual([{ state: 'delivered', n: 10 }]);
    // What came twice was the dead one's.
    const twice = repeated(attemptsOf(receiver.requests));
    const lived = workers[1]!.lines.filter((line) => line.includes('"event":"attempt"')).length;
    expect(lived).toBe(10);
    expect(receiver.requests.length).toBe(10 + twice.length);
  },
);
