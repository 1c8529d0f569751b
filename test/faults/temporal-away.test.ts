import type { TestApi } from '../support/api';
import { type OwnTemporal, startOwnTemporal } from '../support/own-servers';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { createSite, EAGER_RECONCILER, inParallel, note, numbersOf, type Site } from './support';

const EVENTS = 1_000;
/** Delivering 1,000 takes its time on a busy machine; what counts is that none is missing. */
const LIMIT_MS = 240_000;

let temporal: OwnTemporal;
let site: Site;
let api: TestApi;
let receiver: Receiver;

beforeEach(async () => {
  temporal = await startOwnTemporal();
  site = await createSite({ ...EAGER_RECONCILER, TEMPORAL_ADDRESS: temporal.address });
  api = await site.startApi();
  await site.startWorker();
  receiver = await startReceiver();
});
afterEach(async () => {
  await site?.stop();
  await receiver?.close();
  await temporal?.remove();
});

const states = async () =>
  Object.fromEntries(
    (await site.query('select state, count(*) as n from deliveries group by state')).map(({ state, n }) => [
      state,
      Number(n),
    ]),
  );

test(
  'stopped while 1,000 events are published: each is accepted, and delivered once when it is back',
  async () => {
    // Two that Temporal leaves behind: one waits for its timer, one is in the middle of its POST.
    const failing = await startReceiver((_, n) => ({ status: n === 1 ? 500 : 204 }));
    const slow = await startReceiver(() => ({ status: 204, delayMs: 4_000 }));
    await api.createWebhook(failing, { events: ['left.waiting'], retry_policy: { schedule: ['3s'], jitter: 0 } });
    await api.createWebhook(slow, { events: ['left.posting'] });
    const waiting = await api.onlyDelivery((await api.publish('left.waiting')).id);
    await api.untilStatus(waiting, 'retrying');
    const posting = await api.onlyDelivery((await api.publish('left.posting')).id);
    await slow.waitFor(1, LIMIT_MS);
    await temporal.stop();

    await api.createWebhook(receiver, { events: ['order.*'] });
    const answers = await inParallel(EVENTS, 20, (n) =>
      api.call<{ id: string }>('POST', '/events', { type: 'order.created', data: { n } }),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]));
    // What was made is written down without an engine.
    await api.untilStatus(posting, 'delivered');
    expect(receiver.requests).toHaveLength(0);

    await temporal.start();
    const back = performance.now();
    await receiver.waitFor(1, LIMIT_MS);
    note('first delivery after Temporal came back', back);
    await until('every delivery to be delivered', async () => (await states()).delivered === EVENTS + 2, LIMIT_MS);
    note(`all ${EVENTS} delivered after Temporal came back`, back);

    const arrived = receiver.requests.map((request) => request.headers['webhook-id']);
    expect(new Set(arrived)).toEqual(new Set(answers.map((answer) => answer.body.id)));
    expect(arrived).toHaveLength(EVENTS);
    expect(numbersOf(slow.requests)).toEqual([1]);
    expect(numbersOf(failing.requests)).toEqual([1, 2]);
    expect(await api.delivery(waiting)).toMatchObject({ status: 'delivered', attempt_count: 2 });
    await Promise.all([failing.close(), slow.close()]);
  },
  LIMIT_MS + 60_000,
);

test(
  'its data deleted while deliveries wait for a retry: the reconciler brings them to their end',
  async () => {
    const COUNT = 30;
    receiver.setHandler((request) => ({ status: request.headers['x-webhook-attempt'] === '1' ? 500 : 204 }));
    await api.createWebhook(receiver, {
      retry_policy: { schedule: ['8s', '1h'], jitter: 0 },
      circuit_breaker: null, // would hold the retries
    });
    const events = await inParallel(COUNT, 10, () => api.publish());
    await until('all to wait for their retry', async () => {
      const [row] = await site.query('select count(*) as n from delivery_queue where timed');
      return Number(row.n) === COUNT;
    });

    await temporal.stop();
    temporal.loseData();
    expect(receiver.requests).toHaveLength(COUNT); // the timers had not fired: nothing but the record knows of them
    await temporal.start();
    const back = performance.now();

    await until('every delivery to be delivered', async () => (await states()).delivered === COUNT, LIMIT_MS);
    note(`${COUNT} retries made after Temporal lost its data`, back);
    const attempts = receiver.requests.map((r) => `${r.headers['webhook-id']} ${r.headers['x-webhook-attempt']}`);
    expect(attempts.sort()).toEqual(events.flatMap((event) => [`${event.id} 1`, `${event.id} 2`]).sort());
  },
  LIMIT_MS + 60_000,
);
