import { Client } from 'pg';
import { generateApiKey } from '../../src/db/store/api-keys';
import { TestApi } from '../support/api';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers';
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

const LIMIT_MS = 90_000;
/** A first attempt is handed over after this long. */
const HAND_OVER_MS = 2_000;

let postgres: OwnPostgres;
let site: Site;
let api: TestApi;
const receivers: Receiver[] = [];

beforeAll(async () => {
  postgres = await startOwnPostgres();
});
beforeEach(async () => {
  site = await createSite({}, postgres.url);
  api = await site.startApi();
  await site.startWorker();
});
afterEach(async () => {
  await site?.stop();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});
afterAll(() => postgres?.remove());

/** An endpoint for one event type that holds every answer, but the first `failing` ones, until `released`. */
async function endpoint(type: string, failing: number, released: Promise<void>): Promise<Receiver> {
  const receiver = await startReceiver((_, n) =>
    n <= failing ? { status: 500 } : released.then(() => ({ status: 200 })),
  );
  receivers.push(receiver);
  const policy = { schedule: ['500ms', '1s', '1s'], jitter: 0 };
  await api.createWebhook(receiver, { events: [type], timeout: '30s', retry_policy: policy });
  return receiver;
}

const publishOne = async (type: string) => api.onlyDelivery((await api.publish(type)).id);

describe.each([
  ['stopped, for a moment', () => postgres.stop(), 500],
  ['crashed, for longer than any hand-over waits', () => postgres.crash(), 20_000],
] as const)('Postgres %s', (how, takeAway, awayMs) => {
  test(
    'between POST and record: the POST is made once, and its attempt is recorded',
    async () => {
      const type = (what: string) => `${what}.${how.split(',')[0]}`;
      let release = (): void => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const retried = await endpoint(type('retried'), 1, released);
      const slow = await endpoint(type('slow'), 0, released);
      const quick = await endpoint(type('quick'), 0, released);

      // Three POSTs under way: of a retry, of a first attempt that was handed over, of one that was not.
      const ids = [await publishOne(type('retried')), await publishOne(type('slow'))];
      await retried.waitFor(2, LIMIT_MS);
      const [request] = await slow.waitFor(1, LIMIT_MS);
      await until('the slow one to be handed over', () => Date.now() - request!.at > HAND_OVER_MS);
      ids.push(await publishOne(type('quick')));
      await quick.waitFor(1, LIMIT_MS);

      await takeAway();
      release(); // each endpoint now answers 200, and nobody can write it down
      const away = performance.now();
      await expectUnavailable(api);
      await pass(awayMs);
      await expectUnavailable(api);
      await postgres.start();
      const back = performance.now();

      for (const id of ids) await untilDelivered(api, id, LIMIT_MS);
      note(`recorded after ${Math.round((back - away) / 1_000)} s without Postgres, once it was back`, back);
      expect(numbersOf(retried.requests)).toEqual([1, 2]);
      expect(numbersOf(slow.requests)).toEqual([1]);
      expect(numbersOf(quick.requests)).toEqual([1]);
      const attempts = await Promise.all(ids.map(async (id) => (await api.delivery(id)).attempts));
      const delivered = { status_code: 200, trigger: 'schedule', error: null };
      expect(attempts).toMatchObject([
        [
          { number: 1, status_code: 500 },
          { number: 2, ...delivered },
        ],
        [{ number: 1, ...delivered }],
        [{ number: 1, ...delivered }],
      ]);
      // Publishing works again as well.
      const after = await publishOne(type('quick'));
      await untilDelivered(api, after, LIMIT_MS);
    },
    LIMIT_MS + 60_000,
  );
});

test('Postgres crashed in the middle of a statement: neither api nor worker dies of it', async () => {
  const receiver = await startReceiver((_, n) => ({ status: n === 1 ? 500 : 204 }));
  receivers.push(receiver);
  await api.createWebhook(receiver, { events: ['mid.statement'], retry_policy: { schedule: ['2s'], jitter: 0 } });
  const id = await publishOne('mid.statement');
  await api.untilStatus(id, 'retrying');

  // Locks hold two statements in the server: the worker's lease for the retry, and the api's look at a key that it
  // does not know yet.
  const locks = new Client({ connectionString: postgres.url });
  locks.on('error', () => undefined);
  await locks.connect();
  try {
    await locks.query('begin');
    await locks.query('lock table api_keys in access exclusive mode');
    await locks.query('lock table delivery_queue in exclusive mode');
    await untilLockedOut(site, '%number, holder, cause%', LIMIT_MS);
    const unanswered = new TestApi(api.url, generateApiKey('test')).call('GET', '/webhooks');
    await untilLockedOut(site, '%from "api_keys"%');
    await postgres.crash();
    expect(await unanswered).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
  } finally {
    await locks.end();
  }
  await postgres.start();
  await untilDelivered(api, id, LIMIT_MS);
  expect(numbersOf(receiver.requests)).toEqual([1, 2]);
}, 180_000);

test(
  'Postgres crashed under load: api and worker live on, and whatever was answered 202 is delivered',
  async () => {
    const receiver = await startReceiver();
    receivers.push(receiver);
    await api.createWebhook(receiver, { events: ['load.*'], retry_policy: { schedule: ['1s', '1s'], jitter: 0 } });
    const { accepted, statuses } = await publishThroughCrashes(3, { api, postgres, receiver, limitMs: LIMIT_MS });

    expect(statuses).toEqual(new Set([202, 503]));
    await until(
      'what was accepted to arrive',
      () => {
        const arrived = new Set(receiver.requests.map((request) => request.headers['webhook-id']));
        return accepted.every((id) => arrived.has(id));
      },
      LIMIT_MS,
    );
    // Nothing that the database failed at was taken for a failure of the endpoint, and no POST was repeated.
    const attempts = receiver.requests.map((r) => `${r.headers['webhook-id']} ${r.headers['x-webhook-attempt']}`);
    expect(new Set(numbersOf(receiver.requests))).toEqual(new Set([1]));
    expect(new Set(attempts).size).toBe(attempts.length);
  },
  LIMIT_MS + 60_000,
);
