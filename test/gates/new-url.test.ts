import { installationForFile, receiverForEach } from '../support/for-tests';
import type { ReceiverAnswer } from '../support/receiver';
import { until } from '../support/until';

const posthorn = installationForFile();
const receiver = receiverForEach();

const FAR = { schedule: ['1h'], jitter: 0 };
const ONE_ATTEMPT = { schedule: [] };
const FRESH = {
  circuit: 'closed',
  circuit_open_until: null,
  throttled_until: null,
  failures_in_a_row: 0,
  failed_deliveries_in_a_row: 0,
  failing_since: null,
  adaptive_max_in_flight: null,
};

let types = 0;

/** A webhook whose old URL gives this answer; its new one takes everything. */
async function failingWebhook(answer: ReceiverAnswer, settings: object = {}) {
  const { api } = posthorn;
  const type = `moved.n${++types}`;
  receiver.setHandler(({ path }) => (path === '/old' ? answer : { status: 204 }));
  const { id } = await api.createWebhook(receiver, { url: `${receiver.url}/old`, events: [type], ...settings });
  const publish = async () => api.onlyDelivery((await api.publish(type)).id);
  const move = (more: object = {}) => api.ok('PATCH', `/webhooks/${id}`, { url: `${receiver.url}/new`, ...more });
  const read = () => api.ok('GET', `/webhooks/${id}`);
  return { id, publish, move, read };
}

const atOld = () => receiver.requests.filter(({ path }) => path === '/old').length;

test('a webhook whose breaker is open sends to its new URL at once', async () => {
  const { api } = posthorn;
  const breaker = { failures: 1, open_for: '1d' };
  const { publish, move, read } = await failingWebhook(
    { status: 500 },
    { retry_policy: FAR, circuit_breaker: breaker },
  );
  await api.untilStatus(await publish(), 'retrying');
  expect(await read()).toMatchObject({ health: { circuit: 'open', failures_in_a_row: 1 } });
  const held = await publish();
  expect(await api.untilStatus(held, 'held')).toMatchObject({ held_because: 'circuit_open' });
  expect(await move()).toMatchObject({ status: 'active', health: FRESH });
  await api.untilStatus(held, 'delivered');
});

test('a webhook that its old endpoint throttled for an hour sends to its new URL at once', async () => {
  const { api } = posthorn;
  const answer = { status: 429, headers: { 'retry-after': '3600' } };
  const { publish, move, read } = await failingWebhook(answer, { retry_policy: FAR });
  await api.untilStatus(await publish(), 'retrying');
  expect((await read()).health.throttled_until).not.toBeNull();
  const held = await publish();
  expect(await api.untilStatus(held, 'held')).toMatchObject({ held_because: 'throttled' });
  expect(await move()).toMatchObject({ health: FRESH });
  await api.untilStatus(held, 'delivered');
});

test.each<[string, ReceiverAnswer, number, string]>([
  ['a 410', { status: 410 }, 1, 'gone'],
  ['deliveries that failed in a row', { status: 500 }, 2, 'failed_deliveries'],
])('a webhook that was disabled by %s is in service at its new URL', async (_, answer, failures, reason) => {
  const { api } = posthorn;
  const settings = { retry_policy: ONE_ATTEMPT, disable_after: { failed_deliveries: 2 } };
  const { publish, move, read } = await failingWebhook(answer, settings);
  for (let i = 0; i < failures; i++) await api.untilStatus(await publish(), 'failed');
  expect(await read()).toMatchObject({ status: 'disabled', status_reason: reason });
  const held = await publish();
  expect(await move()).toMatchObject({ status: 'active', status_reason: null, health: FRESH });
  await api.untilStatus(held, 'delivered');
});

test.each([
  ['pause', 'paused', null],
  ['disable', 'disabled', 'operator'],
])('what an operator decided by %s stays with another URL', async (command, status, reason) => {
  const { api } = posthorn;
  const { id, publish, move } = await failingWebhook({ status: 204 });
  await api.ok('POST', `/webhooks/${id}/${command}`);
  expect(await move()).toMatchObject({ status, status_reason: reason });
  expect(await api.untilStatus(await publish(), 'held')).toMatchObject({ held_because: status });
});

test('a webhook that is moved and paused in one request is paused, also if it was disabled before', async () => {
  const { api } = posthorn;
  const { publish, move } = await failingWebhook({ status: 410 });
  await api.untilStatus(await publish(), 'failed');
  expect(await move({ active: false })).toMatchObject({ status: 'paused', status_reason: null });
});

test('failures at the old URL do not count at the new one', async () => {
  const { api } = posthorn;
  const settings = { retry_policy: ONE_ATTEMPT, disable_after: { failed_deliveries: 3 }, circuit_breaker: null };
  const { publish, move, read } = await failingWebhook({ status: 500 }, settings);
  for (let i = 0; i < 2; i++) await api.untilStatus(await publish(), 'failed');
  receiver.setHandler(() => ({ status: 500 }));
  await move();
  for (let i = 0; i < 2; i++) await api.untilStatus(await publish(), 'failed');
  expect(await read()).toMatchObject({
    status: 'active',
    health: { failures_in_a_row: 2, failed_deliveries_in_a_row: 2 },
  });
});

test('the URL that it had already changes nothing', async () => {
  const { api } = posthorn;
  const breaker = { failures: 1, open_for: '1d' };
  const { id, publish, read } = await failingWebhook({ status: 500 }, { retry_policy: FAR, circuit_breaker: breaker });
  await api.untilStatus(await publish(), 'retrying');
  const { health } = await read();
  expect(health.circuit).toBe('open');
  expect(await api.ok('PATCH', `/webhooks/${id}`, { url: `${receiver.url}/old` })).toMatchObject({ health });
});

describe.each(['workflow', 'express'])('an attempt on the %s path that was under way to the old URL', (mode) => {
  test.each<[string, number, Record<string, string>]>([
    ['is gone', 410, {}],
    ['asks for an hour', 503, { 'retry-after': '3600' }],
    ['fails', 500, {}],
  ])('and %s says nothing of the new one', async (_, status, headers) => {
    const { api } = posthorn;
    let answer!: (given: ReceiverAnswer) => void;
    const later = new Promise<ReceiverAnswer>((resolve) => {
      answer = resolve;
    });
    const settings = { mode, retry_policy: ONE_ATTEMPT, timeout: '30s', circuit_breaker: { failures: 1 } };
    const { publish, move, read } = await failingWebhook('hang', settings);
    receiver.setHandler(({ path }) => (path === '/old' ? later : { status: 204 }));
    const first = await publish();
    await until('the POST to the old URL', () => atOld() === 1);
    await move();
    answer({ status, headers });
    await api.untilStatus(first, 'failed');
    expect(await read()).toMatchObject({ status: 'active', health: FRESH });
    await api.untilStatus(await publish(), 'delivered');
  });
});
