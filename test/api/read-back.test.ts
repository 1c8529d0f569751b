import { installationForFile, receiverForFile } from '../support/for-tests';
import { expectBadField, sql } from './support';

/** What was read can be written back, whole, with one thing changed or none. */

const posthorn = installationForFile();
const receiver = receiverForFile();
const api = () => posthorn.api;
const URL = 'http://127.0.0.1:9/hook';

const WEBHOOKS: [what: string, settings: object][] = [
  ['with every default', {}],
  [
    'with everything set',
    {
      description: 'all of it',
      metadata: { team: 'billing' },
      headers: { authorization: 'Bearer secret', 'X-Own': 'one' },
      signature_styles: ['github', 'stripe'],
      retry_policy: { preset: 'short', jitter: 0.5, max_duration: '36h', client_errors: 'fail' },
      timeout: '1500ms',
      rate_limit: '100/90s',
      max_in_flight: 7,
      mode: 'express',
      ordered: true,
      circuit_breaker: { failures: 3, window: '90s', open_for: '1500ms' },
      disable_after: { failed_deliveries: null, failing_for: '36h' },
      payload: 'minimal',
      payload_version: '2.0',
      filter: { 'data.total': { $gt: 10 } },
    },
  ],
  ['with an own schedule', { retry_policy: { schedule: ['100ms', '90s', '25h'] }, circuit_breaker: null }],
  [
    'with growing waits',
    { retry_policy: { initial: '500ms', factor: 1.5, max_interval: '90m', max_attempts: 9 }, disable_after: null },
  ],
];

test.each(WEBHOOKS)('a webhook %s is written back as it was read, and nothing changes', async (_, settings) => {
  const { id } = await api().ok('POST', '/webhooks', { url: URL, events: ['order.*', 'back.b'], ...settings });
  const read = await api().ok('GET', `/webhooks/${id}`);
  expect(await api().ok('PATCH', `/webhooks/${id}`, read)).toEqual(read);
  const stored = () =>
    sql<object>(
      posthorn,
      'select sealed_headers, header_names from webhooks where id = (select max(id::text) from webhooks)::uuid',
    );
  const before = await stored();
  const changed = await api().ok('PATCH', `/webhooks/${id}`, { ...read, description: 'another' });
  expect(changed).toEqual({
    ...read,
    description: 'another',
    version: read.version + 1,
    updated_at: changed.updated_at,
  });
  expect(await stored()).toEqual(before);
});

test.each(['pause', 'disable'])('a webhook after %s keeps its status, and why', async (command) => {
  const { id } = await api().ok('POST', '/webhooks', { url: URL, events: ['back.none'] });
  await api().ok('POST', `/webhooks/${id}/${command}`);
  const read = await api().ok('GET', `/webhooks/${id}`);
  const changed = await api().ok('PATCH', `/webhooks/${id}`, { ...read, timeout: '9s' });
  expect(changed).toMatchObject({
    timeout: '9s',
    ...{ status: read.status, status_reason: read.status_reason, status_since: read.status_since },
  });
});

test('what an endpoint has done meanwhile is no obstacle, and is not undone', async () => {
  const { id } = await api().ok('POST', '/webhooks', { url: URL, events: ['back.none'], max_in_flight: 10 });
  const read = await api().ok('GET', `/webhooks/${id}`);
  await sql(
    posthorn,
    `update webhook_gates set failures = 4, adaptive_cap = 3, blocked_until = now() + interval '1 h'`,
  );
  const { health } = await api().ok('PATCH', `/webhooks/${id}`, { ...read, description: 'seen' });
  expect(health).toMatchObject({ failures_in_a_row: 4, adaptive_max_in_flight: 3 });
  expect(health.throttled_until).not.toBeNull();
});

test('headers are changed one by one: a placeholder keeps the value that is stored', async () => {
  const headers = { authorization: 'Bearer secret', 'x-own': 'one' };
  const { id } = await api().createWebhook(receiver, { events: ['back.headers'], headers });
  const read = await api().ok('GET', `/webhooks/${id}`);
  expect(read.headers).toEqual({ authorization: '[redacted]', 'x-own': '[redacted]' });
  const { headers: shown } = await api().ok('PATCH', `/webhooks/${id}`, {
    headers: { Authorization: '[redacted]', 'x-new': 'two' },
  });
  expect(shown).toEqual({ Authorization: '[redacted]', 'x-new': '[redacted]' });
  await api().publish('back.headers');
  const [sent] = await receiver.waitFor(1);
  expect(sent!.headers).toMatchObject({ authorization: 'Bearer secret', 'x-new': 'two' });
  expect(sent!.headers).not.toHaveProperty('x-own');
  const refused = await api().call('PATCH', `/webhooks/${id}`, { headers: { 'x-own': '[redacted]' } });
  expectBadField(refused, 'headers', /the value of "x-own" is a placeholder/);
});

test.each<[what: string, change: object, field: string, rule: RegExp]>([
  ['another id', { id: 'wh_01m84me0xme4gbxcg2xavanzsf' }, 'id', /cannot be changed/],
  ['another time', { created_at: '2026-01-01T00:00:00Z' }, 'created_at', /cannot be changed/],
  ['another status', { status: 'paused' }, 'status', /as it is now.*pause/],
  ['what nobody knows', { colour: 'red' }, 'colour', /not known here/],
])('a webhook that is written back with %s is refused by name', async (_, change, field, rule) => {
  const { id } = await api().ok('POST', '/webhooks', { url: URL, events: ['back.none'] });
  const read = await api().ok('GET', `/webhooks/${id}`);
  expectBadField(await api().call('PATCH', `/webhooks/${id}`, { ...read, ...change, timeout: '9s' }), field, rule);
  expect(await api().ok('GET', `/webhooks/${id}`)).toEqual(read);
});

test('reports by themselves set nothing, and an old version is refused', async () => {
  const { id } = await api().ok('POST', '/webhooks', { url: URL, events: ['back.none'] });
  const read = await api().ok('GET', `/webhooks/${id}`);
  for (const field of ['health', 'verification', 'status', 'updated_at']) {
    expectBadField(await api().call('PATCH', `/webhooks/${id}`, { [field]: read[field] }), field, /is shown only/);
  }
  await api().ok('PATCH', `/webhooks/${id}`, { timeout: '9s' });
  expect(await api().call('PATCH', `/webhooks/${id}`, read)).toMatchObject({ status: 412 });
  const again = await api().call('POST', '/webhooks', read);
  for (const field of ['id', 'status', 'health', 'version', 'created_at'])
    expectBadField(again, field, /not known here/);
});

test.each<[what: string, settings: object]>([
  ['with nothing but a name', {}],
  ['with everything', { description: 'an order', deprecated: true, key_fields: ['order_id', 'customer.id'] }],
])('an event type %s is written back as it was read', async (what, settings) => {
  const name = `back.${what.length}`;
  await api().ok('POST', '/event-types', { name, ...settings });
  await api().ok('POST', `/event-types/${name}/versions`, { version: '1.0', example: { n: 1 } });
  const read = await api().ok('GET', `/event-types/${name}`);
  expect(await api().ok('PATCH', `/event-types/${name}`, read)).toEqual(read);
  const changed = await api().ok('PATCH', `/event-types/${name}`, { ...read, description: 'another' });
  expect(changed).toEqual({ ...read, description: 'another', updated_at: changed.updated_at });
  for (const [field, value, rule] of [
    ['name', 'another.name', /cannot be changed/],
    ['versions', [], /never change/],
    ['created_at', '2026-01-01T00:00:00Z', /cannot be changed/],
  ] as const) {
    expectBadField(await api().call('PATCH', `/event-types/${name}`, { ...read, [field]: value }), field, rule);
  }
});

test('settings are written back as they were read, and as they were changed', async () => {
  const read = await api().ok('GET', '/settings');
  expect(await api().ok('PATCH', '/settings', read)).toEqual(read);
  const other = await api().ok('PATCH', '/settings', {
    unknown_event_versions: 'refuse',
    endpoint_verification: 'required',
  });
  expect(await api().ok('PATCH', '/settings', other)).toEqual(other);
  expect(await api().ok('PATCH', '/settings', read)).toEqual(read);
});
