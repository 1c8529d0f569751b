import { otherTenant as otherTenantOf } from '../api/support';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

/** One tenant's endpoints that take their time, and what another tenant has of its worker meanwhile. */

const LIMIT_MS = 180_000;
jest.setTimeout(2 * LIMIT_MS);

const CAPACITY = 64;
const RETRIES = 16;
const SLOW_WEBHOOKS = 120;
const EVENTS = 300;
/** Publishes at once. */
const TOGETHER = 20;

let posthorn: Installation;
let slowTenant: TestApi;
let otherTenant: TestApi;
const receivers: Receiver[] = [];

async function start(mode: string): Promise<void> {
  posthorn = await startInstallation({
    POSTHORN_FIRST_ATTEMPT: mode,
    POSTHORN_MAX_IN_FLIGHT: String(CAPACITY),
    POSTHORN_EXPRESS_IN_FLIGHT: String(CAPACITY),
    POSTHORN_MAX_RETRIES_IN_FLIGHT: String(RETRIES),
  });
  slowTenant = posthorn.api;
  otherTenant = await otherTenantOf(posthorn);
}

afterEach(async () => {
  // First, because it ends the POSTs that the worker would wait for.
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
  await posthorn?.stop();
});

async function endpoint(handler?: Parameters<typeof startReceiver>[0]): Promise<Receiver> {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  return receiver;
}

/** Answers 200 to requests when it is told to, in the order in which they came. */
async function slowEndpoint(isSlow: (attempt: string) => boolean = () => true) {
  const held: (() => void)[] = [];
  let answersAtOnce = false;
  const receiver = await endpoint(async ({ headers }) => {
    if (!isSlow(String(headers['x-webhook-attempt']))) return { status: 500 };
    if (!answersAtOnce) await new Promise<void>((resolve) => held.push(resolve));
    return { status: 200 };
  });
  return {
    receiver,
    /** Requests that it has not answered. */
    underWay: () => held.length,
    answer: (count: number) => {
      for (const resolve of held.splice(0, count)) resolve();
    },
    answerAll: () => {
      answersAtOnce = true;
      for (const resolve of held.splice(0)) resolve();
    },
  };
}

async function webhooks(api: TestApi, receiver: Receiver, count: number, settings: object = {}): Promise<void> {
  const given = { events: ['slow.*'], timeout: '30s', circuit_breaker: null, ...settings };
  for (let n = 0; n < count; n++) await api.createWebhook(receiver, given);
}

async function publish(api: TestApi, type: string, count: number): Promise<void> {
  for (let n = 0; n < count; n += TOGETHER) {
    const numbers = Array.from({ length: Math.min(TOGETHER, count - n) }, (_, i) => n + i);
    await Promise.all(numbers.map((number) => api.publish(type, { n: number })));
  }
}

const numbersOf = (receiver: Receiver) =>
  new Set(receiver.requests.map(({ body }) => (JSON.parse(body.toString()) as { data: { n: number } }).data.n));

describe.each(['express', 'workflow', 'auto'])('in mode %s', (mode) => {
  test('a tenant whose endpoints are slow has all slots while it is alone, and others find room at once', async () => {
    await start(mode);
    const slow = await slowEndpoint();
    await webhooks(slowTenant, slow.receiver, SLOW_WEBHOOKS);
    await publish(slowTenant, 'slow.event', 2);
    await slow.receiver.waitFor(CAPACITY, LIMIT_MS);

    const quick = await endpoint();
    await otherTenant.createWebhook(quick, { events: ['quick.*'] });
    await publish(otherTenant, 'quick.event', EVENTS);
    await quick.waitFor(EVENTS, LIMIT_MS);
    expect(numbersOf(quick).size).toBe(EVENTS);
    // All of them while every POST of the other was still under way. In mode auto it may have the other lane's slots, too.
    expect(slow.underWay()).toBe(slow.receiver.requests.length);
    if (mode === 'auto') expect(slow.receiver.requests.length).toBeLessThanOrEqual(2 * CAPACITY);
    else expect(slow.receiver.requests).toHaveLength(CAPACITY);

    slow.answerAll();
    await slow.receiver.waitFor(2 * SLOW_WEBHOOKS, LIMIT_MS);
  });
});

describe.each(['express', 'workflow'])('in mode %s', (mode) => {
  test('slots that come free go to whoever holds less, until both hold the same', async () => {
    await start(mode);
    const first = await slowEndpoint();
    const second = await slowEndpoint();
    await webhooks(slowTenant, first.receiver, 30);
    await webhooks(otherTenant, second.receiver, 30);
    await publish(slowTenant, 'slow.event', 5);
    await first.receiver.waitFor(CAPACITY, LIMIT_MS);
    await publish(otherTenant, 'slow.event', 5);
    await second.receiver.waitFor(1, LIMIT_MS);

    first.answer(CAPACITY / 2);
    await second.receiver.waitFor(CAPACITY / 2, LIMIT_MS);
    expect(first.receiver.requests).toHaveLength(CAPACITY);
    first.answerAll();
    second.answerAll();
    await Promise.all([first, second].map(({ receiver }) => receiver.waitFor(150, LIMIT_MS)));
  });

  test('retries of one tenant that are slow do not keep those of another waiting', async () => {
    await start(mode);
    const retry_policy = { schedule: ['1s', '1s', '1s'], jitter: 0 };
    const slow = await slowEndpoint((attempt) => attempt !== '1');
    await webhooks(slowTenant, slow.receiver, SLOW_WEBHOOKS, { retry_policy });
    await publish(slowTenant, 'slow.event', 3);
    await slow.receiver.waitFor(3 * SLOW_WEBHOOKS, LIMIT_MS);
    await until('all slots for retries to be taken', async () => slow.underWay() >= RETRIES, LIMIT_MS);

    const quick = await endpoint(({ headers }) => ({ status: headers['x-webhook-attempt'] === '1' ? 500 : 204 }));
    await otherTenant.createWebhook(quick, { events: ['quick.*'], circuit_breaker: null, retry_policy });
    await publish(otherTenant, 'quick.event', EVENTS);
    await quick.waitFor(2 * EVENTS, LIMIT_MS);
    expect(numbersOf(quick).size).toBe(EVENTS);
    expect(slow.underWay()).toBe(RETRIES);
    slow.answerAll();
    await slow.receiver.waitFor(6 * SLOW_WEBHOOKS, LIMIT_MS);
  });
});
