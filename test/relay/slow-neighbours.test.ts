import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
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
const SLOW_WEBHOOKS = 70;
const EVENTS = 100;
/** Publishes at once. */
const TOGETHER = 20;

let posthorn: Installation;
let slowTenant: TestApi;
let otherTenant: TestApi;
const receivers: Pick<Receiver, 'close'>[] = [];

async function start(mode: string): Promise<void> {
  posthorn = await startInstallation({
    POSTHORN_DELIVERY_MODE: mode,
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

/**
 * Answers 200 to requests when it is told to, in the order in which they came. A POST ends after 30 s at the latest, which a
 * slow machine may come to: what was broken off is not under way, and its slot is another's.
 */
async function slowEndpoint(isSlow: (attempt: string) => boolean = () => true) {
  const held: ServerResponse[] = [];
  let came = 0;
  let brokenOff = 0;
  let answersAtOnce = false;
  const server = createServer(({ headers }, response) => {
    came++;
    if (!isSlow(String(headers['x-webhook-attempt']))) response.writeHead(500).end();
    else if (answersAtOnce) response.end();
    else {
      held.push(response);
      response.on('close', () => {
        if (response.writableEnded) return;
        brokenOff++;
        held.splice(held.indexOf(response), 1);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  receivers.push({
    async close() {
      server.close();
      server.closeAllConnections();
    },
  });
  const waitFor = (count: number) => until(`${count} requests`, async () => came >= count, LIMIT_MS);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    waitFor,
    came: () => came,
    /** What came but for what came in place of POSTs that took too long. */
    cameInTime: () => came - brokenOff,
    underWay: () => held.length,
    answer: (count: number) => {
      for (const response of held.splice(0, count)) response.end();
    },
    answerAll: () => {
      answersAtOnce = true;
      for (const response of held.splice(0)) response.end();
    },
  };
}

async function webhooks(
  api: TestApi,
  receiver: Pick<Receiver, 'url'>,
  count: number,
  settings: object = {},
): Promise<void> {
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
    await webhooks(slowTenant, slow, SLOW_WEBHOOKS);
    await publish(slowTenant, 'slow.event', 2);
    await slow.waitFor(CAPACITY);

    const quick = await endpoint();
    await otherTenant.createWebhook(quick, { events: ['quick.*'] });
    await publish(otherTenant, 'quick.event', EVENTS);
    await quick.waitFor(EVENTS, LIMIT_MS);
    expect(numbersOf(quick).size).toBe(EVENTS);
    // All of them while the other still had all it may have; in mode auto, of both paths.
    expect(slow.underWay()).toBeGreaterThan(0);
    expect(slow.cameInTime()).toBeGreaterThanOrEqual(CAPACITY);
    expect(slow.cameInTime()).toBeLessThanOrEqual(mode === 'auto' ? 2 * CAPACITY : CAPACITY);

    slow.answerAll();
    await slow.waitFor(2 * SLOW_WEBHOOKS);
  });
});

describe.each(['express', 'workflow'])('in mode %s', (mode) => {
  test('slots that come free go to whoever holds less, until both hold the same', async () => {
    await start(mode);
    const first = await slowEndpoint();
    const second = await slowEndpoint();
    await webhooks(slowTenant, first, 30);
    await webhooks(otherTenant, second, 30);
    await publish(slowTenant, 'slow.event', 5);
    await first.waitFor(CAPACITY);
    await publish(otherTenant, 'slow.event', 5);
    await second.waitFor(1);

    first.answer(CAPACITY / 2);
    await second.waitFor(CAPACITY / 2);
    expect(first.cameInTime()).toBe(CAPACITY);
    first.answerAll();
    second.answerAll();
    await Promise.all([first, second].map((one) => one.waitFor(150)));
  });

  test('retries of one tenant that are slow do not keep those of another waiting', async () => {
    await start(mode);
    const retry_policy = { schedule: ['1s', '1s', '1s'], jitter: 0 };
    const slow = await slowEndpoint((attempt) => attempt !== '1');
    await webhooks(slowTenant, slow, SLOW_WEBHOOKS, { retry_policy });
    await publish(slowTenant, 'slow.event', 3);
    await slow.waitFor(3 * SLOW_WEBHOOKS);
    await until('all slots for retries to be taken', async () => slow.underWay() >= RETRIES, LIMIT_MS);

    const quick = await endpoint(({ headers }) => ({ status: headers['x-webhook-attempt'] === '1' ? 500 : 204 }));
    await otherTenant.createWebhook(quick, { events: ['quick.*'], circuit_breaker: null, retry_policy });
    await publish(otherTenant, 'quick.event', EVENTS);
    await quick.waitFor(2 * EVENTS, LIMIT_MS);
    expect(numbersOf(quick).size).toBe(EVENTS);
    expect(slow.underWay()).toBeGreaterThan(0);
    slow.answerAll();
    await slow.waitFor(6 * SLOW_WEBHOOKS);
  });
});
