import { newUuid, toPublicId } from '../../src/domain/ids';
import { generateSecret, secretWeakness } from '../../src/egress/secrets';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, expectProblem, sql } from './support';

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const url = 'https://example.com/hook';
const HEALTHY = {
  circuit: 'closed',
  circuit_open_until: null,
  throttled_until: null,
  failures_in_a_row: 0,
  failed_deliveries_in_a_row: 0,
  failing_since: null,
  adaptive_max_in_flight: null,
};

test('a webhook is made with defaults, and its secret is shown this once', async () => {
  const { api } = posthorn;
  const answer = await api.call('POST', '/webhooks', { url, events: ['order.*'] });
  expect(answer.status).toBe(201);
  const { secret, ...shown } = answer.body;
  expect(secretWeakness(secret)).toBeUndefined();
  expect(shown).toEqual({
    id: expect.stringMatching(/^wh_/),
    url,
    events: ['order.*'],
    filter: null,
    body_format: 'exact',
    envelope: 'standard',
    mode: null,
    payload: 'full',
    payload_version: null,
    description: null,
    active: true,
    status: 'active',
    status_reason: null,
    status_since: expect.any(String),
    metadata: {},
    headers: {},
    signature_styles: ['standard', 'x-webhook'],
    signature: null,
    retry_policy: { preset: 'standard' },
    timeout: '10s',
    rate_limit: null,
    max_in_flight: null,
    ordered: false,
    circuit_breaker: { failures: 10, window: '1m', open_for: '30s' },
    disable_after: { failed_deliveries: 10, failing_for: '5d' },
    health: HEALTHY,
    verification: { status: 'unverified', method: null, verified_at: null, last_error: null },
    version: 1,
    created_at: expect.any(String),
    updated_at: expect.any(String),
  });
  expect(await api.ok('GET', `/webhooks/${shown.id}`)).toEqual(shown);
});

test('a secret is nowhere but in the answer that made it, and sealed at rest', async () => {
  const { api } = posthorn;
  const own = generateSecret();
  const { id, secret } = await api.createWebhook({ url }, { secret: own, events: ['kept.back'] });
  expect(secret).toBe(own);
  const later = [
    await api.call('GET', `/webhooks/${id}`),
    await api.call('GET', '/webhooks'),
    await api.call('PATCH', `/webhooks/${id}`, { description: 'x' }),
  ];
  for (const answer of later) {
    expect(answer.status).toBe(200);
    expect(JSON.stringify(answer.body)).not.toMatch(/secret|whsec/);
  }
  const [stored] = await sql<{ text: string }>(
    posthorn,
    `select string_agg(s::text, '') || (select string_agg(a::text, '') from audit_log a) as text from webhook_secrets s`,
  );
  expect(stored!.text).not.toContain(own.slice('whsec_'.length));
});

test('everything that can be set is set, by either path', async () => {
  const settings = {
    url,
    events: ['a.b', 'c.*'],
    description: 'Über 💡',
    active: false,
    metadata: { team: 'billing' },
    retry_policy: { schedule: ['1s', '90s', '2h'], jitter: 0, max_duration: '1d', client_errors: 'fail' },
    timeout: '30s',
    signature_styles: ['standard', 'github', 'stripe'],
    rate_limit: '100/1m',
    max_in_flight: 7,
    ordered: true,
    circuit_breaker: { failures: 3, window: '2m', open_for: '5m' },
    disable_after: { failed_deliveries: null, failing_for: '2d' },
  };
  const { id, secret: _, ...made } = await posthorn.api.ok('POST', '/webhooks/subscribe', settings);
  expect(made).toMatchObject({ ...settings, status: 'paused' });
  expect(await posthorn.api.ok('GET', `/webhooks/${id}`)).toEqual({ id, ...made });
});

test('PATCH changes what it names and leaves the rest', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook({ url }, { events: ['a'], description: 'before', metadata: { a: '1' } });
  const before = await api.ok('GET', `/webhooks/${id}`);
  const steps = [
    { retry_policy: { preset: 'quick', jitter: 0.5 } },
    { retry_policy: { schedule: [] } },
    { timeout: '2s' },
    { retry_policy: { initial: '1s', factor: 3, max_interval: '1h', max_attempts: 6 } },
    { active: false },
    { active: true },
    { signature_styles: ['standard'] },
    { rate_limit: '5/1.5s' },
    { rate_limit: null },
    { max_in_flight: 3 },
    { max_in_flight: null },
    { ordered: true },
    { circuit_breaker: { failures: 1, window: '1s', open_for: '1d' } },
    { circuit_breaker: null },
    { disable_after: { failed_deliveries: 1, failing_for: '1m' } },
    { disable_after: { failed_deliveries: null, failing_for: null } },
    { metadata: {} },
    { description: null },
    { events: ['b', 'c.*'] },
    { url: 'https://example.org:8443/other?x=1' },
  ];
  let expected = before;
  for (const [i, step] of steps.entries()) {
    const answer = await api.ok('PATCH', `/webhooks/${id}`, step);
    if ('active' in step) {
      expect(answer.status_since).not.toBe(expected.status_since);
      expected = { ...expected, status: step.active ? 'active' : 'paused', status_since: answer.status_since };
    }
    expected = { ...expected, ...step, version: i + 2, updated_at: expect.any(String) };
    expect(answer).toEqual(expected);
    expect(await api.ok('GET', `/webhooks/${id}`)).toEqual(expected);
  }
  const { updated_at } = await api.ok('GET', `/webhooks/${id}`);
  expect(Date.parse(updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
});

test('a pattern given twice counts once', async () => {
  const made = await posthorn.api.ok('POST', '/webhooks', { url, events: ['a', 'a', 'b'] });
  expect(made.events).toEqual(['a', 'b']);
});

test('a deleted webhook is gone for every request, and gets no more events', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook({ url }, { events: ['gone.*'] });
  expect(await api.publish('gone.once')).toMatchObject({ deliveries: 1 });
  const answer = await api.call('DELETE', `/webhooks/${id}`);
  expect(answer).toMatchObject({ status: 204, body: undefined });

  const list = await api.ok('GET', '/webhooks?limit=200');
  expect(list.data.map((webhook: { id: string }) => webhook.id)).not.toContain(id);
  for (const [method, path, body] of [
    ['GET', ''],
    ['PATCH', '', { active: true }],
    ['DELETE', ''],
    ['GET', '/deliveries'],
  ] as const) {
    expectProblem(await api.call(method, `/webhooks/${id}${path}`, body), { status: 404, code: 'not_found' });
  }
  expect(await api.publish('gone.once')).toMatchObject({ deliveries: 0 });
});

test('a list is walked page by page, newest first, each webhook once', async () => {
  const { api } = posthorn;
  const made: string[] = [];
  for (let i = 0; i < 7; i++) made.unshift((await api.createWebhook({ url })).id);
  const seen: string[] = [];
  const sizes: number[] = [];
  let cursor: string | null = null;
  do {
    const page: { data: { id: string }[]; next_cursor: string | null } = await api.ok(
      'GET',
      `/webhooks?limit=3${cursor ? `&cursor=${cursor}` : ''}`,
    );
    sizes.push(page.data.length);
    seen.push(...page.data.map((webhook) => webhook.id));
    cursor = page.next_cursor;
    // What is made while someone reads comes before the first page, and moves nothing.
    if (sizes.length === 1) await api.createWebhook({ url });
  } while (cursor);
  expect(seen.slice(0, made.length)).toEqual(made);
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen).toEqual([...seen].sort().reverse());
  expect(sizes.slice(0, -1).every((size) => size === 3)).toBe(true);
});

test('a page that ends with the last webhook says that there is no other', async () => {
  const { api } = posthorn;
  const all = await api.ok('GET', '/webhooks?limit=200');
  const exact = await api.ok('GET', `/webhooks?limit=${all.data.length}`);
  expect(exact).toEqual({ data: all.data, next_cursor: null });
  const below = await api.ok('GET', `/webhooks?cursor=${all.data.at(-1).id}`);
  expect(below).toEqual({ data: [], next_cursor: null });
  // A cursor is a place, not a thing: it need not exist (any more).
  expect((await api.ok('GET', `/webhooks?cursor=${toPublicId('webhook', newUuid())}&limit=200`)).data).toEqual(
    all.data,
  );
});

test('every change is in the audit log, with who made it and which fields', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook({ url });
  await api.ok('PATCH', `/webhooks/${id}`, { description: 'not in the log', active: false });
  await api.ok('DELETE', `/webhooks/${id}`);
  const entries = await sql(posthorn, 'select actor, action, details from audit_log where target = $1 order by id', [
    id,
  ]);
  const [key] = await sql<{ id: string }>(posthorn, 'select id from api_keys');
  const actor = key!.id;
  expect(entries).toEqual([
    { actor, action: 'webhook.create', details: {} },
    { actor, action: 'webhook.update', details: { fields: ['description', 'active'] } },
    { actor, action: 'webhook.delete', details: {} },
  ]);
});

describe('a URL is taken in its normal form', () => {
  test.each([
    ['https://example.com/{id}?a=b|c^d`', 'https://example.com/%7Bid%7D?a=b%7Cc%5Ed%60'],
    ['HTTPS://Bücher.example:443/ü', 'https://xn--bcher-kva.example/%C3%BC'],
    ['https://my_host.example.com./x', 'https://my_host.example.com./x'],
  ])('%s', async (given, shown) => {
    const { api } = posthorn;
    const { id } = await api.ok('POST', '/webhooks', { url: given, events: ['*'] });
    expect((await api.ok('GET', `/webhooks/${id}`)).url).toBe(shown);
    expect((await api.ok('PATCH', `/webhooks/${id}`, { url: shown })).url).toBe(shown);
  });

  test.each([
    // Short as it is written, and too long as it is stored.
    [`https://example.com/${'|'.repeat(700)}`, /at most 2048 characters once it is normalised/],
    [`https://example.com/${'ü'.repeat(400)}`, /at most 2048 characters once it is normalised/],
    [`https://${'a'.repeat(64)}.example.com/`, /1 to 63/],
    ['https://a..example.com/', /1 to 63/],
    ['https://a{b}.example.com/', /1 to 63/],
  ])('%.40s… is refused', async (given, rule) => {
    expectBadField(await posthorn.api.call('POST', '/webhooks', { url: given, events: ['*'] }), 'url', rule);
  });
});
