import { Webhook } from 'standardwebhooks';
import { parsePublicId, toPublicId } from '../../src/domain/ids';
import { MAX_PENDING_TESTS, MAX_TESTS_PER_MINUTE } from '../../src/domain/webhook-test';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';
import { allRows, withScopes } from './route-samples';
import { expectProblem, otherTenant, sql } from './support';

let posthorn: Installation;
let receiver: Receiver;
/** A tenant of its own for each test: its tests are bounded. */
let api: TestApi;
let tenants = 0;

beforeAll(async () => {
  posthorn = await startInstallation();
});
afterAll(() => posthorn?.stop());
beforeEach(async () => {
  receiver = await startReceiver(() => ({ status: 200, headers: { 'x-why': 'test' }, body: 'thanks' }));
  api = await otherTenant(posthorn, `tests ${++tenants}`);
});
afterEach(() => receiver.close());

const send = (id: string, body?: unknown) => api.ok('POST', `/webhooks/${id}/test?wait=true`, body);
const bodyOf = (n: number) => receiver.requests[n]!.body.toString('utf8');
const FAR = { schedule: ['1h'], jitter: 0 };

test('with wait=true the answer is the attempt: signed and sent as a delivery is', async () => {
  const { id, secret } = await api.createWebhook(receiver, {
    headers: { 'X-Own': 'kept' },
    signature_styles: ['x-webhook'],
  });
  const made = await send(id);
  const [sent, ...more] = receiver.requests;
  expect(more).toEqual([]);
  const number = made.id.slice('att_'.length);
  expect(new Webhook(secret).verify(sent!.body, sent!.headers as Record<string, string>)).toEqual({
    id: `evt_${number}`,
    type: 'posthorn.test',
    timestamp: expect.any(String),
    version: '1.0',
    data: { test: true },
  });
  expect(sent!.headers).toMatchObject({
    'webhook-id': `evt_${number}`,
    'x-webhook-event': 'posthorn.test',
    'x-webhook-attempt': '1',
    'x-webhook-delivery': `del_${number}`,
    'x-webhook-retryable': 'false',
    'x-webhook-test': 'true',
    'x-webhook-signature': expect.stringMatching(/^sha256=/),
    'x-own': 'kept',
    'content-type': 'application/json',
  });
  expect(made).toEqual({
    id: expect.stringMatching(/^att_/),
    webhook_id: id,
    event_type: 'posthorn.test',
    number: 1,
    trigger: 'test',
    outcome: 'delivered',
    status_code: 200,
    error: null,
    request: { headers: expect.objectContaining({ 'X-Webhook-Test': 'true' }), body: bodyOf(0) },
    response: { headers: expect.objectContaining({ 'x-why': 'test' }), body: 'thanks', body_base64: null, cut: null },
    remote_address: '127.0.0.1',
    started_at: expect.any(String),
    duration_ms: expect.any(Number),
    created_at: expect.any(String),
  });
  for (const hidden of [sent!.headers['webhook-signature'], sent!.headers['x-webhook-signature'], 'kept']) {
    expect(JSON.stringify(made)).not.toContain(hidden);
  }
  expect(await api.ok('GET', `/webhooks/${id}/tests/${made.id}`)).toEqual(made);
});

describe('the data', () => {
  const text = (data: string) => `{"event_type":"order.created","data":${data}}`;

  test.each(['{"a": 1.0}', '{"n":12345678901234567890123}', '{ "ä" : [1e2, "\\u00e4"] }'])(
    'that is given goes as it was written: %s',
    async (data) => {
      const { id } = await api.createWebhook(receiver);
      const made = await api.call('POST', `/webhooks/${id}/test?wait=true`, text(data));
      expect(made).toMatchObject({ status: 200, body: { event_type: 'order.created', outcome: 'delivered' } });
      expect(bodyOf(0).endsWith(`"version":"1.0","data":${data}}`)).toBe(true);
    },
  );

  test('is the newest example of the event type, or that of the version which the webhook wants', async () => {
    await api.ok('POST', '/event-types', { name: 'order.created', key_fields: ['order_id'] });
    for (const version of ['1.0', '2.0']) {
      const example = { order_id: `ord_${version}`, total: 5 };
      await api.ok('POST', '/event-types/order.created/versions', { version, example });
    }
    await api.ok('POST', '/event-types/order.created/versions', { version: '3.0' });
    for (const [settings, version, data] of [
      [{}, '2.0', { order_id: 'ord_2.0', total: 5 }],
      [{ payload_version: '1.0' }, '1.0', { order_id: 'ord_1.0', total: 5 }],
      [{ payload: 'minimal' }, '2.0', { order_id: 'ord_2.0' }],
      [{ payload_version: '3.0' }, '3.0', { test: true }],
    ] as const) {
      const { id } = await api.createWebhook(receiver, settings);
      await send(id, { event_type: 'order.created' });
      expect(JSON.parse(receiver.requests.at(-1)!.body.toString())).toMatchObject({
        type: 'order.created',
        version,
        data,
      });
    }
  });

  test('of a type that nobody described is a little of our own', async () => {
    const { id } = await api.createWebhook(receiver, { events: ['never.described'] });
    await send(id, { event_type: 'never.described' });
    expect(JSON.parse(bodyOf(0))).toMatchObject({ type: 'never.described', data: { test: true } });
  });
});

test.each(['compact', 'javascript'])(
  'a webhook with the body format %s gets it, and the answer shows it',
  async (body_format) => {
    const { id } = await api.createWebhook(receiver, { body_format });
    const made = await api.ok('POST', `/webhooks/${id}/test?wait=true`, '{"data":{ "a" : [1, 2] }}');
    expect(made).toMatchObject({ outcome: 'delivered', request: { body: bodyOf(0) } });
    expect(bodyOf(0)).toContain('"data":{"a":[1,2]}');
  },
);

describe('whatever the gate says', () => {
  const held: [string, Record<string, unknown>, (id: string) => Promise<unknown>][] = [
    ['paused', {}, (id) => api.ok('POST', `/webhooks/${id}/pause`)],
    ['disabled', {}, (id) => api.ok('POST', `/webhooks/${id}/disable`)],
    [
      'behind an open breaker, throttled and at its rate limit',
      { circuit_breaker: { failures: 1, open_for: '1d' }, retry_policy: FAR, rate_limit: '1/1d', ordered: true },
      async () => {
        receiver.setHandler(() => ({ status: 503, headers: { 'retry-after': '3600' } }));
        await api.untilStatus(await api.onlyDelivery((await api.publish()).id), 'retrying');
      },
    ],
  ];

  test.each(held)('a webhook that is %s is tested', async (_, settings, hold) => {
    const { id } = await api.createWebhook(receiver, settings);
    await hold(id);
    const before = await api.ok('GET', `/webhooks/${id}`);
    receiver.setHandler(() => ({ status: 204 }));
    expect(await send(id)).toMatchObject({ outcome: 'delivered', status_code: 204 });
    expect(await api.ok('GET', `/webhooks/${id}`)).toEqual(before);
  });
});

test.each<[string, number, Record<string, string>]>([
  ['410', 410, {}],
  ['429 that asks for a pause', 429, { 'retry-after': '3600' }],
  ['500', 500, {}],
])('a test that is answered %s changes nothing but the tests', async (_, status, headers) => {
  const { id } = await api.createWebhook(receiver, {
    circuit_breaker: { failures: 1 },
    disable_after: { failed_deliveries: 1 },
  });
  await api.createWebhook(receiver, { events: ['posthorn.*'] });
  receiver.setHandler(() => ({ status, headers }));
  const others = async () =>
    (await allRows(posthorn)).filter((row) => !/^(webhook_tests|audit_log|lease_holders|publish_probe) /.test(row));
  const before = await others();
  expect(await send(id)).toMatchObject({ outcome: 'failed', status_code: status, error: null });
  expect(await others()).toEqual(before);
  expect((await api.ok('GET', `/audit-log`)).data[0]).toMatchObject({ action: 'webhook.test', target: id });
});

test('what goes wrong is in the answer: no connection, a blocked address, no answer in time', async () => {
  const { id } = await api.createWebhook({ url: 'http://127.0.0.1:9' }, { timeout: '1s' });
  expect(await send(id)).toMatchObject({ outcome: 'failed', response: null, error: { code: 'connection_refused' } });
  await sql(posthorn, 'update webhooks set url = $2 where id = $1', [
    parsePublicId('webhook', id),
    'http://169.254.169.254/latest',
  ]);
  expect(await send(id)).toMatchObject({ outcome: 'failed', remote_address: null, error: { code: 'blocked_address' } });
  receiver.setHandler(() => 'hang');
  await api.ok('PATCH', `/webhooks/${id}`, { url: receiver.url });
  expect(await send(id)).toMatchObject({ outcome: 'failed', error: { code: 'headers_timeout' } });
});

test('without wait the answer comes at once, and the list has it when it is made; it goes with its webhook', async () => {
  const { id } = await api.createWebhook(receiver);
  const asked = await api.call('POST', `/webhooks/${id}/test`, { event_type: 'order.created' });
  expect(asked).toMatchObject({
    status: 202,
    body: { webhook_id: id, event_type: 'order.created', trigger: 'test', number: 1 },
  });
  const listed = async () => (await api.ok('GET', `/webhooks/${id}/tests`)).data;
  await until('the test to be made', async () => (await listed())[0].outcome === 'delivered');
  const second = await send(id);
  expect((await listed()).map((one: { id: string }) => one.id)).toEqual([second.id, asked.body.id]);
  const page = await api.ok('GET', `/webhooks/${id}/tests?limit=1`);
  expect(page.data).toHaveLength(1);
  const rest = await api.ok('GET', `/webhooks/${id}/tests?cursor=${page.next_cursor}`);
  expect(rest.data.map((one: { id: string }) => one.id)).toEqual([asked.body.id]);
  expect((await api.ok('GET', '/deliveries')).data).toEqual([]);
  await api.ok('DELETE', `/webhooks/${id}`);
  for (const path of [`/webhooks/${id}/tests`, `/webhooks/${id}/tests/${second.id}`]) {
    expectProblem(await api.call('GET', path), { status: 404, code: 'not_found' });
  }
});

test('an endpoint that has yet to answer the challenge gets no test', async () => {
  receiver.setHandler(() => ({ status: 404 }));
  await api.ok('PATCH', '/settings', { endpoint_verification: 'required' });
  const { id } = await api.createWebhook(receiver);
  expectProblem(await api.call('POST', `/webhooks/${id}/test`), { status: 409, code: 'state_conflict' });
  expect((await api.ok('GET', `/webhooks/${id}/tests`)).data).toEqual([]);
});

test('a tenant has a number of tests in a minute, and others have theirs', async () => {
  const { id } = await api.createWebhook(receiver);
  for (let n = 0; n < MAX_TESTS_PER_MINUTE; n++) await send(id);
  const refused = await api.call('POST', `/webhooks/${id}/test`);
  expectProblem(refused, { status: 429, code: 'rate_limited' });
  expect(refused.headers.get('retry-after')).toBe('60');
  const other = await otherTenant(posthorn, `tests ${++tenants}`);
  const { id: theirs } = await other.createWebhook(receiver);
  await other.ok('POST', `/webhooks/${theirs}/test?wait=true`);
  expect(receiver.requests).toHaveLength(MAX_TESTS_PER_MINUTE + 1);
});

test('a tenant has a number of tests under way', async () => {
  receiver.setHandler(() => 'hang');
  const { id } = await api.createWebhook(receiver, { timeout: '30s' });
  for (let n = 0; n < MAX_PENDING_TESTS; n++) await api.ok('POST', `/webhooks/${id}/test`);
  expectProblem(await api.call('POST', `/webhooks/${id}/test`), { status: 429, code: 'rate_limited' });
});

test.each<[string, unknown, string]>([
  ['an event type that is none', { event_type: 'No Type' }, 'event_type'],
  ['data that is no object', { data: [1] }, 'data'],
  ['a field that there is not', { type: 'order.created' }, ''],
  ['data over the limit', { data: { text: 'x'.repeat(300_000) } }, 'data'],
])('%s is refused, and nothing is sent', async (_, body, field) => {
  const { id } = await api.createWebhook(receiver);
  const refused = await api.call('POST', `/webhooks/${id}/test`, body);
  expectProblem(refused, { status: 422, code: 'validation_failed' });
  expect(JSON.stringify(refused.body.errors)).toContain(field);
  expect((await api.ok('GET', `/webhooks/${id}/tests`)).data).toEqual([]);
});

test('reading tests takes the scope read, making one takes manage, and neither another tenant', async () => {
  const { id } = await posthorn.api.createWebhook(receiver);
  const { tenant_id } = (
    await sql<{ tenant_id: string }>(posthorn, 'select tenant_id from webhooks where id = $1', [
      parsePublicId('webhook', id),
    ])
  )[0]!;
  const reader = await withScopes(posthorn, toPublicId('tenant', tenant_id), ['read']);
  expect((await reader.call('GET', `/webhooks/${id}/tests`)).status).toBe(200);
  expectProblem(await reader.call('POST', `/webhooks/${id}/test`), { status: 403, code: 'forbidden' });
  expectProblem(await api.call('POST', `/webhooks/${id}/test`), { status: 404, code: 'not_found' });
  expectProblem(await api.call('GET', `/webhooks/${id}/tests`), { status: 404, code: 'not_found' });
});
