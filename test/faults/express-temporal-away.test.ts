import type { TestApi } from '../support/api';
import { type OwnTemporal, startOwnTemporal } from '../support/own-servers';
import type { RoleProcess } from '../support/processes';
import { type Receiver, type ReceiverHandler, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { createSite, inParallel, note, numbersOf, type Site } from './support';

const LIMIT_MS = 60_000;
jest.setTimeout(LIMIT_MS + 60_000);

let temporal: OwnTemporal;
let site: Site;
let api: TestApi;
let worker: RoleProcess;
const receivers: Receiver[] = [];

beforeEach(async () => {
  temporal = await startOwnTemporal();
  site = await createSite({ POSTHORN_RECONCILE_EVERY: '1s', TEMPORAL_ADDRESS: temporal.address });
  api = await site.startApi();
  worker = await site.startWorker();
});
afterEach(async () => {
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
  await temporal?.remove();
});

async function endpoint(type: string, settings: object, handler?: ReceiverHandler): Promise<Receiver> {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  await api.createWebhook(receiver, {
    ...{ events: [type], retry_policy: { schedule: ['1s', '1s'], jitter: 0 }, circuit_breaker: null },
    ...settings,
  });
  return receiver;
}
const FAILS_ONCE: ReceiverHandler = ({ headers }) => ({ status: headers['x-webhook-attempt'] === '1' ? 500 : 204 });
const countOf = async (state: string) =>
  (await site.query(`select count(*)::int as n from deliveries where state = '${state}'`))[0].n as number;
const pathsOf = (ids: string[]) =>
  Promise.all(ids.map(async (id) => (await api.ok<{ path: string }>('GET', `/deliveries/${id}`)).path));

test('Temporal away: one endpoint that fails holds up no other, and its retries come once Temporal is back', async () => {
  const FAILING = 40;
  const failing = await endpoint('fails.once', { mode: 'express' }, FAILS_ONCE);
  const well = await endpoint('goes.well', { mode: 'express' });
  await temporal.stop();

  const failed = await inParallel(FAILING, 10, () => api.publish('fails.once'));
  await failing.waitFor(FAILING, LIMIT_MS);
  await until('the failures to be written down', async () => {
    const [row] = await site.query('select count(*)::int as n from delivery_queue where timed and attempt = 1');
    return row.n === FAILING;
  });
  // None could be given to the engine; all the same the path goes on, for this endpoint as well.
  const others = await inParallel(100, 10, () => api.publish('goes.well'));
  await until('the others to be delivered', async () => (await countOf('delivered')) === others.length, LIMIT_MS);
  await api.publish('fails.once');
  await failing.waitFor(FAILING + 1, LIMIT_MS);
  expect(numbersOf(failing.requests)).toEqual(Array(FAILING + 1).fill(1));
  expect(well.requests).toHaveLength(others.length);

  await temporal.start();
  const back = performance.now();
  const all = others.length + FAILING + 1;
  await until('the retries to be delivered', async () => (await countOf('delivered')) === all, LIMIT_MS);
  note(`${FAILING + 1} retries made after Temporal came back`, back);
  const posts = failing.requests.map(({ headers }) => `${headers['webhook-id']} ${headers['x-webhook-attempt']}`);
  expect(new Set(posts).size).toBe(2 * (FAILING + 1));
  expect(posts).toHaveLength(2 * (FAILING + 1));
  expect(posts).toEqual(expect.arrayContaining(failed.flatMap(({ id }) => [`${id} 1`, `${id} 2`])));
});

test('a worker killed before it could give its failures to Temporal: the reconciler does, and soon', async () => {
  const FAILING = 10;
  const failing = await endpoint('fails.once', { mode: 'express' }, FAILS_ONCE);
  await temporal.stop();
  await inParallel(FAILING, 10, () => api.publish('fails.once'));
  await until('the failures to be written down', async () => {
    const [row] = await site.query('select count(*)::int as n from delivery_queue where timed and attempt = 1');
    return row.n === FAILING;
  });
  await worker.kill9();
  await temporal.start();
  await site.startWorker();
  await until('the retries to be delivered', async () => (await countOf('delivered')) === FAILING, LIMIT_MS);
  expect(numbersOf(failing.requests).sort()).toEqual([...Array(FAILING).fill(1), ...Array(FAILING).fill(2)]);
});

test('mode auto: by express while Temporal is away, by workflows again when it is back and the rush is over', async () => {
  const EVENTS = 50;
  /** The paths that the worker has turned to, by its log. */
  const turns = () => worker.lines.flatMap((line) => /"event":"auto_mode","path":"(\w+)"/.exec(line)?.[1] ?? []);
  const receiver = await endpoint('in.auto', { mode: 'auto' });
  const steady = await endpoint('in.workflow', { mode: 'workflow' });
  const [before] = await api.publishDeliveries('in.auto', 1);
  await api.untilStatus(before!, 'delivered', LIMIT_MS);
  expect(await pathsOf([before!])).toEqual(['workflow']);

  await temporal.stop();
  // A worker that has just started is not behind, and one that has nothing to do neither.
  expect(turns()).toEqual([]);
  const away = performance.now();
  const ids = await inParallel(EVENTS, 10, async () => api.onlyDelivery((await api.publish('in.auto')).id));
  const [waiting] = await api.publishDeliveries('in.workflow', 1);
  await receiver.waitFor(1 + EVENTS, LIMIT_MS);
  note(`${EVENTS} delivered without Temporal`, away);
  await until('all to be written down', async () => (await countOf('delivered')) === 1 + EVENTS, LIMIT_MS);
  expect(new Set(await pathsOf(ids))).toEqual(new Set(['express']));
  expect(steady.requests).toEqual([]);

  await temporal.start();
  await api.untilStatus(waiting!, 'delivered', LIMIT_MS);
  await until('the engine to be given the work again', () => turns().at(-1) === 'workflow', LIMIT_MS);
  const [after] = await api.publishDeliveries('in.auto', 1);
  await api.untilStatus(after!, 'delivered', LIMIT_MS);
  expect(await pathsOf([after!])).toEqual(['workflow']);
  expect(turns()).toEqual(['express', 'workflow']);
  const posts = receiver.requests.map(({ headers }) => headers['webhook-id']);
  expect(new Set(posts).size).toBe(posts.length);
  expect(new Set(numbersOf(receiver.requests))).toEqual(new Set([1]));
});
