import type { TestApi } from '../support/api';
import type { RoleProcess } from '../support/processes';
import { type Receiver, type ReceiverHandler, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { attemptsOf, createSite, inParallel, note, numbersOf, repeated, type Site } from './support';

const LIMIT_MS = 120_000;
jest.setTimeout(LIMIT_MS + 60_000);

let site: Site;
let api: TestApi;
const receivers: Receiver[] = [];

beforeEach(async () => {
  // The grace is above the slowest POST here, as the setting asks for.
  site = await createSite({ POSTHORN_DELIVERY_MODE: 'express', POSTHORN_SHUTDOWN_GRACE: '20s' });
  api = await site.startApi();
});
afterEach(async () => {
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

async function endpoint(type: string, handler?: ReceiverHandler, settings: object = {}): Promise<Receiver> {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  await api.createWebhook(receiver, {
    events: [type],
    retry_policy: { schedule: ['1s', '1s'], jitter: 0 },
    ...settings,
  });
  return receiver;
}

const idsOf = ({ requests }: Receiver) => requests.map(({ headers }) => headers['webhook-id']);
const eventIds = (published: { id: string }[]) => new Set(published.map(({ id }) => id));

async function untilDelivered(count: number): Promise<void> {
  try {
    await until(
      `${count} deliveries`,
      async () => {
        const [row] = await site.query(`select count(*)::int as n from deliveries where state = 'delivered'`);
        return row.n === count;
      },
      LIMIT_MS,
    );
  } catch (error) {
    const left = await site.query(`select d.state, q.timed, q.express, q.attempt, count(*)::int n
      from deliveries d left join delivery_queue q on q.delivery_id = d.id group by 1, 2, 3, 4`);
    throw new Error(`${(error as Error).message}, of which ${JSON.stringify(left)}`);
  }
}

test('a worker is killed with POSTs under way: once it is found dead, each delivery is delivered, under the same id and number', async () => {
  const WIDE = 10;
  const NARROW = 2;
  const EVENTS = 12;
  const dying = await site.startWorker();
  const wide = await endpoint('to.wide', () => 'hang', { max_in_flight: WIDE });
  const narrow = await endpoint('to.narrow', () => 'hang', { max_in_flight: NARROW });
  const ordered = await endpoint('in.order', () => 'hang', { ordered: true });
  const types = ['to.wide', 'to.narrow', 'in.order'];
  const published = await Promise.all(
    types.map(async (type) => {
      const events: { id: string }[] = [];
      for (let n = 0; n < EVENTS; n++) events.push(await api.publish(type, { n }));
      return events;
    }),
  );
  await Promise.all([wide.waitFor(WIDE), narrow.waitFor(NARROW), ordered.waitFor(1)]);
  await dying.kill9();

  for (const receiver of receivers) receiver.setHandler(() => ({ status: 204 }));
  await site.startWorker();
  await untilDelivered(types.length * EVENTS);
  for (const [i, receiver] of [wide, narrow, ordered].entries()) {
    expect(new Set(idsOf(receiver))).toEqual(eventIds(published[i]!));
    expect(new Set(numbersOf(receiver.requests))).toEqual(new Set([1]));
    expect(receiver.requests).toHaveLength(EVENTS + [WIDE, NARROW, 1][i]!);
    const bodies = receiver.requests.map(({ headers, body }) => `${headers['webhook-id']} ${body}`);
    expect(new Set(bodies).size).toBe(EVENTS);
  }
  // The head that was cut off is first again.
  const [first] = idsOf(ordered);
  expect(idsOf(ordered)).toEqual([first, ...published[2]!.map(({ id }) => id)]);
  const [recorded] = await site.query('select count(*)::int n, max(number) number from attempts');
  expect(recorded).toEqual({ n: types.length * EVENTS, number: 1 });
});

/** Attempts that a worker has written down so far, by its own log. */
const attemptsBy = (worker: RoleProcess) => worker.lines.filter((line) => line.includes('"event":"attempt"')).length;

test('two workers, one of which leaves in the middle: 1,000 events for 5 webhooks, none is lost and no attempt is made twice', async () => {
  const EVENTS = 1_000;
  const WEBHOOKS = 5;
  const [leaving, staying] = (await Promise.all([site.startWorker(), site.startWorker()])) as [
    RoleProcess,
    RoleProcess,
  ];
  for (let n = 0; n < WEBHOOKS; n++) {
    // Few fail, each once (three failures in a row would be an end): those go on as workflows.
    const failsOnce: ReceiverHandler = ({ headers }, nth) => ({
      status: headers['x-webhook-attempt'] === '1' && nth % 40 === 0 ? 503 : 204,
      delayMs: 5,
    });
    await endpoint(`to.n${n}`, failsOnce, { circuit_breaker: null });
  }
  const began = performance.now();
  let left: Promise<void> | undefined;
  const events = await inParallel(EVENTS, 20, async (n) => {
    if (n === EVENTS / 2) left = leaving.stop();
    return api.publish(`to.n${n % WEBHOOKS}`, { n });
  });
  await left;
  await untilDelivered(EVENTS);
  note(`${EVENTS} deliveries`, began);

  for (const [i, receiver] of receivers.entries()) {
    expect(repeated(attemptsOf(receiver.requests))).toEqual([]);
    expect(new Set(idsOf(receiver))).toEqual(eventIds(events.filter((_, n) => n % WEBHOOKS === i)));
  }
  const posts = receivers.flatMap(({ requests }) => requests);
  expect(numbersOf(posts).filter((number) => number === 2).length).toBeGreaterThan(0);
  const [recorded] = await site.query('select count(*)::int n from attempts');
  expect(recorded.n).toBe(posts.length);
  // Both had their share, and wrote a line for each POST.
  await until('the logs to come', () => attemptsBy(leaving) + attemptsBy(staying) >= posts.length);
  expect(attemptsBy(leaving) + attemptsBy(staying)).toBe(posts.length);
  expect(Math.min(attemptsBy(leaving), attemptsBy(staying))).toBeGreaterThan(0);
  expect(leaving.lines.filter((line) => line.includes('express_failed'))).toEqual([]);
});
