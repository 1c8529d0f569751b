import { Client, Connection } from '@temporalio/client';
import type { TestApi } from '../support/api';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { attemptsOf, createSite, note, numbersOf, repeated, type Site } from './support';

/** The promise is 15 s from the death to the repeated attempt; the rest is for a busy machine. */
const ATTEMPTED_AGAIN_WITHIN_S = 20;
const LIMIT_MS = 60_000;
jest.setTimeout(180_000);
/** Long enough for the worker to be killed before it is over. */
const RETRY_WAIT = '15s';
/** A POST that was handed over counts as lost this long after it began, and a little more: not every POST has 30 s. */
const HANDED_OVER_TIMEOUT = '10s';

let site: Site;
let api: TestApi;
let temporal: Client;
const receivers: Receiver[] = [];

beforeAll(async () => {
  temporal = new Client({
    connection: await Connection.connect({ address: process.env.POSTHORN_TEST_TEMPORAL_ADDRESS! }),
  });
});
beforeEach(async () => {
  site = await createSite();
  api = await site.startApi();
});
afterEach(async () => {
  await site.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});
afterAll(() => temporal.connection.close());

/** An endpoint of its own for one event type: `answers[n]` for its nth request, then 204. */
async function endpoint(
  type: string,
  answers: ('hang' | 500)[],
  { schedule = [] as string[], timeout = '30s' } = {},
): Promise<Receiver> {
  const receiver = await startReceiver((_, n) => {
    const answer = answers[n - 1];
    return answer === 'hang' ? 'hang' : { status: answer ?? 204 };
  });
  receivers.push(receiver);
  await api.createWebhook(receiver, { events: [type], timeout, retry_policy: { schedule, jitter: 0 } });
  return receiver;
}

async function publishOne(type: string): Promise<string> {
  return api.onlyDelivery((await api.publish(type)).id);
}

/** Its first attempt has taken so long that the workflow now waits for the worker's word. */
async function untilHandedOver(deliveryId: string): Promise<void> {
  await until('the hand-over', async () => {
    // The relay may not have started it yet.
    const history = await temporal.workflow
      .getHandle(deliveryId)
      .fetchHistory()
      .catch(() => undefined);
    return history?.events?.some((event) => event.timerStartedEventAttributes);
  });
}

test('a worker is killed in the middle of everything: what was under way is attempted again, under the same number', async () => {
  const worker = await site.startWorker();
  const retried = await endpoint('in.retry', [500, 'hang'], { schedule: ['500ms', '500ms'] });
  const waiting = await endpoint('in.timer', [500], { schedule: [RETRY_WAIT] });
  const handedOver = await endpoint('handed.over', ['hang'], { timeout: HANDED_OVER_TIMEOUT });
  const quick = await endpoint('in.first', ['hang']);

  const ids = { retried: await publishOne('in.retry'), waiting: '', handedOver: '', quick: '' };
  await retried.waitFor(2, LIMIT_MS);
  ids.waiting = await publishOne('in.timer');
  await api.untilStatus(ids.waiting, 'retrying', LIMIT_MS);
  ids.handedOver = await publishOne('handed.over');
  await untilHandedOver(ids.handedOver);
  ids.quick = await publishOne('in.first');
  await quick.waitFor(1, LIMIT_MS);

  await worker.kill9();
  const died = performance.now();
  expect([handedOver, retried, waiting, quick].map((receiver) => receiver.requests.length)).toEqual([1, 2, 1, 1]);
  await site.startWorker();

  const again = async (what: string, receiver: Receiver, count: number) => {
    await receiver.waitFor(count, LIMIT_MS);
    return note(`attempted again after the worker died ${what}`, died);
  };
  const [afterTimer, ...seconds] = await Promise.all([
    again(`during a timer of ${RETRY_WAIT}`, waiting, 2),
    again('during a first POST', quick, 2),
    again(`during a first POST of at most ${HANDED_OVER_TIMEOUT} that was handed over`, handedOver, 2),
    again('during a POST of a retry', retried, 3),
  ]);
  for (const id of Object.values(ids)) await api.untilStatus(id, 'delivered', LIMIT_MS);
  expect(Math.max(...seconds)).toBeLessThan(ATTEMPTED_AGAIN_WITHIN_S);
  expect(afterTimer).toBeLessThan(15 + ATTEMPTED_AGAIN_WITHIN_S);

  // The POST that the death cut off is repeated with the same id and number; none is made beyond it.
  expect(numbersOf(quick.requests)).toEqual([1, 1]);
  expect(numbersOf(handedOver.requests)).toEqual([1, 1]);
  expect(numbersOf(retried.requests)).toEqual([1, 2, 2]);
  expect(numbersOf(waiting.requests)).toEqual([1, 2]);
  for (const { requests } of [quick, handedOver, retried, waiting]) {
    expect(new Set(requests.map((request) => request.headers['webhook-id'])).size).toBe(1);
    expect(new Set(requests.map((request) => request.body.toString())).size).toBe(1);
  }
  expect((await api.delivery(ids.quick)).attempts).toMatchObject([{ number: 1, status_code: 204 }]);
  expect((await api.delivery(ids.retried)).attempts).toMatchObject([
    { number: 1, status_code: 500 },
    { number: 2, status_code: 204 },
  ]);
});

test('one of two workers is killed: the other attempts what was under way there, and only that', async () => {
  // A worker holds at most this many of one webhook, so that each of the two has half of them.
  const CAP = 10;
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  // Nothing is answered until the worker is dead: what the other one has under way then ends well.
  const receiver = await startReceiver(() => released.then(() => ({ status: 204 })));
  receivers.push(receiver);
  site.env.POSTHORN_MAX_IN_FLIGHT_PER_WEBHOOK = String(CAP);
  await api.createWebhook(receiver, { timeout: HANDED_OVER_TIMEOUT, retry_policy: { schedule: [] } });
  const [dying] = await Promise.all([site.startWorker(), site.startWorker()]);

  const events = await Promise.all(Array.from({ length: 2 * CAP }, () => api.publish()));
  await receiver.waitFor(2 * CAP, LIMIT_MS);
  await dying.kill9();
  const died = performance.now();
  release();

  for (const event of events) await api.untilStatus(await api.onlyDelivery(event.id), 'delivered', LIMIT_MS);
  expect(note('all delivered after one of two workers died', died)).toBeLessThan(ATTEMPTED_AGAIN_WITHIN_S);
  const attempts = attemptsOf(receiver.requests);
  expect(new Set(attempts)).toEqual(new Set(events.map((event) => `${event.id} attempt 1`)));
  expect(repeated(attempts).length).toBeGreaterThan(0);
  expect(repeated(attempts).length).toBeLessThan(2 * CAP);
  expect(attempts).toHaveLength(2 * CAP + repeated(attempts).length);
});
