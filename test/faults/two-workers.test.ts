import { type EmbeddedTemporal, startTemporal } from '../../src/embedded/temporal';
import type { TestApi } from '../support/api';
import type { RoleProcess } from '../support/processes';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { attemptsOf, createSite, inParallel, note, numbersOf, repeated, type Site } from './support';

const LIMIT_MS = 300_000;

let temporal: EmbeddedTemporal;
let site: Site;
let apis: TestApi[];
let workers: RoleProcess[];
const receivers: Receiver[] = [];

// A Temporal of their own: these tests keep one busy for a while, and others beside them wait for their retries.
beforeAll(async () => {
  temporal = await startTemporal();
});
afterAll(() => temporal?.stop());
beforeEach(async () => {
  // The grace is above the slowest POST here, as the setting asks for.
  site = await createSite({ TEMPORAL_ADDRESS: temporal.address, POSTHORN_SHUTDOWN_GRACE: '20s' });
  apis = [await site.startApi(), await site.startApi()];
  workers = await Promise.all([site.startWorker(), site.startWorker()]);
});
afterEach(async () => {
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

async function endpoint(settings: Record<string, unknown>, handler: Parameters<typeof startReceiver>[0]) {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  await apis[0]!.createWebhook(receiver, settings);
  return receiver;
}

async function untilAllDelivered(count: number): Promise<void> {
  await until(
    `${count} deliveries`,
    async () => {
      const [row] = await site.query(`select count(*) as n from deliveries where state = 'delivered'`);
      return Number(row.n) === count;
    },
    LIMIT_MS,
  );
}

/** Attempts that a worker has written down so far, by its own log. */
const attemptsBy = (worker: RoleProcess) => worker.lines.filter((line) => line.includes('"event":"attempt"')).length;

test(
  'two workers and two apis: 200 events for 5 webhooks, no attempt is made twice and none is lost',
  async () => {
    const EVENTS = 200;
    for (let i = 0; i < 5; i++) {
      // Every tenth POST fails, so that retries are shared as well; no delivery does so often enough to end by it.
      await endpoint({ retry_policy: { schedule: ['1s', '1s', '1s', '1s'], jitter: 0 } }, ({ headers }, n) => ({
        status: Number(headers['x-webhook-attempt']) < 3 && n % 10 === 0 ? 503 : 204,
      }));
    }
    const began = performance.now();
    const events = await inParallel(EVENTS, 10, (i) => apis[i % 2]!.publish('order.created', { i }));
    await untilAllDelivered(5 * EVENTS);
    note(`${5 * EVENTS} deliveries`, began);

    for (const { requests } of receivers) {
      expect(repeated(attemptsOf(requests))).toEqual([]);
      expect(new Set(requests.map((request) => request.headers['webhook-id']))).toEqual(
        new Set(events.map((event) => event.id)),
      );
    }
    const posts = receivers.flatMap((receiver) => receiver.requests);
    expect(numbersOf(posts).filter((number) => number === 2).length).toBeGreaterThan(0);
    // One line in the log and one row in the record for each POST, and both workers had their share.
    await until('the logs to come', () => attemptsBy(workers[0]!) + attemptsBy(workers[1]!) >= posts.length);
    expect(attemptsBy(workers[0]!) + attemptsBy(workers[1]!)).toBe(posts.length);
    expect(Math.min(...workers.map(attemptsBy))).toBeGreaterThan(0);
    const [recorded] = await site.query('select count(*) as n from attempts');
    expect(Number(recorded.n)).toBe(posts.length);
  },
  LIMIT_MS + 60_000,
);

test(
  'one of them stopped with slow POSTs under way: they finish and are recorded, and none is repeated',
  async () => {
    const COUNT = 20;
    const policy = { timeout: '15s', retry_policy: { schedule: ['200ms'], jitter: 0 } };
    // Slow enough to be handed over, quick enough not to be, and slow in its retry.
    const slow = await endpoint({ ...policy, events: ['slow'] }, () => ({ status: 204, delayMs: 5_000 }));
    const quick = await endpoint({ ...policy, events: ['quick'] }, () => ({ status: 204, delayMs: 1_500 }));
    const retried = await endpoint({ ...policy, events: ['retried'] }, ({ headers }) =>
      headers['x-webhook-attempt'] === '1' ? { status: 503 } : { status: 204, delayMs: 5_000 },
    );
    await inParallel(COUNT, 10, (i) => apis[i % 2]!.publish('retried'));
    await retried.waitFor(2 * COUNT, LIMIT_MS);
    await inParallel(COUNT, 10, (i) => apis[i % 2]!.publish('slow'));
    await slow.waitFor(COUNT, LIMIT_MS);
    await inParallel(COUNT, 10, (i) => apis[i % 2]!.publish('quick'));
    await quick.waitFor(COUNT, LIMIT_MS);

    const [stopping, staying] = workers as [RoleProcess, RoleProcess];
    const began = performance.now();
    await stopping.stop();
    note('stopped gracefully', began);
    await untilAllDelivered(3 * COUNT);
    note('all delivered', began);

    expect(repeated(receivers.flatMap(({ requests }) => attemptsOf(requests)))).toEqual([]);
    expect(slow.requests).toHaveLength(COUNT);
    expect(quick.requests).toHaveLength(COUNT);
    expect(retried.requests).toHaveLength(2 * COUNT);
    await until('the logs to come', () => attemptsBy(stopping) + attemptsBy(staying) >= 4 * COUNT);
    expect(attemptsBy(stopping) + attemptsBy(staying)).toBe(4 * COUNT);
    expect(attemptsBy(stopping)).toBeGreaterThan(0);
    // Its workflows heard of every outcome before it left.
    expect(stopping.lines.filter((line) => line.includes('hand_over_failed'))).toEqual([]);
    // The one that is left serves alone.
    await apis[1]!.publish('quick');
    await untilAllDelivered(3 * COUNT + 1);
  },
  LIMIT_MS + 60_000,
);
