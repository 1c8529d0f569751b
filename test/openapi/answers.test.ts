import { routes } from '../../src/api/routes';
import { problemOut } from '../../src/api/schemas/out/problem';
import { DELIVERY_STATES } from '../../src/domain/delivery';
import { newUuid, toPublicId } from '../../src/domain/ids';
import { asAdmin } from '../api/route-samples';
import { type Stage, startStage } from '../api/states';
import type { TestApi } from '../support/api';
import { until } from '../support/until';

/** What a running installation answers is what the OpenAPI document says. Its schemas are strict: no member is unknown. */

let stage: Stage;
let admin: TestApi;
/** Every answer that matched, as `POST /events 202`. */
const seen = new Set<string>();

beforeAll(async () => {
  stage = await startStage();
  admin = await asAdmin(stage.posthorn);
});
afterAll(() => stage?.stop());

const hourAgo = () => new Date(Date.now() - 3_600_000);
const inAnHour = () => new Date(Date.now() + 3_600_000);

type IdKind = 'webhook' | 'delivery' | 'attempt' | 'event' | 'replay' | 'name' | 'key';
type Ids = Partial<Record<IdKind, string>>;

/** Calls a row of the table; its answer must match the row's schema for its status. */
async function call(name: string, ids: Ids = {}, body?: unknown, query = ''): Promise<any> {
  const [method = '', path = ''] = name.split(' ');
  const { doc, scope } = routes.find((row) => row.method.toUpperCase() === method && row.path === path)!;
  const filled = path.replace(/:(\w+)/g, (_, kind: keyof Ids) => ids[kind]!);
  const api = scope === 'admin' ? admin : stage.posthorn.api;
  const answer = await api.call(method, filled + query, body);
  const schema = doc.answers[answer.status];
  if (schema === undefined) throw new Error(`${name} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  if (schema === 'html') {
    expect(answer.headers.get('content-type')).toMatch(/^text\/html/);
    seen.add(`${name} ${answer.status}`);
    return undefined;
  }
  const issues = schema === null ? [] : schema.safeParse(answer.body).error?.issues;
  expect({ name, body: answer.body, issues: issues ?? [] }).toEqual({ name, body: answer.body, issues: [] });
  if (schema === null) expect(answer.body).toBeUndefined();
  seen.add(`${name} ${answer.status}`);
  return answer.body;
}

/** A page with something on it, and one with a next page. */
async function listed(name: string, ids: Ids = {}): Promise<void> {
  expect((await call(name, ids)).data.length).toBeGreaterThan(1);
  expect((await call(name, ids, undefined, '?limit=1')).next_cursor).toEqual(expect.any(String));
}

test('events', async () => {
  const event = { type: 'answers.event', data: { n: 1 }, id: 'mine' };
  await stage.posthorn.api.createWebhook(stage.receiver, { events: [event.type], active: false });
  await stage.posthorn.api.createWebhook(stage.receiver, { events: [event.type], active: false });
  const { id } = await call('POST /events', {}, event);
  expect(await call('POST /events', {}, event)).toMatchObject({ id, duplicate: true });
  await call('POST /events', {}, { ...event, id: 'other' });
  await call('GET /events/:event', { event: id });
  const events = [event, { ...event, id: 'third' }, { type: 'not a type' }];
  const { data } = await call('POST /events/batch', {}, { events });
  expect(data.map(({ status }: { status: number }) => status)).toEqual([200, 202, 422]);
  await listed('GET /events');
  await listed('GET /events/:event/deliveries', { event: id });
});

test('webhooks', async () => {
  const url = `${stage.receiver.url}/answers`;
  const full = {
    url,
    events: ['answers.hook'],
    description: 'Everything set',
    metadata: { team: 'a' },
    headers: { authorization: 'Basic abc' },
    signature_styles: ['github', 'stripe'],
    signature: { preset: 'slack', names: { id: 'X-Event' } },
    retry_policy: { initial: '1s', factor: 3, max_interval: '1h', max_attempts: 4, jitter: 0.1, max_duration: '1d' },
    rate_limit: '100/1m',
    max_in_flight: 3,
    ordered: true,
    circuit_breaker: null,
    disable_after: null,
    active: false,
  };
  const { id: webhook } = await call('POST /webhooks', {}, full);
  await call('POST /webhooks/subscribe', {}, { url, events: ['answers.other'], retry_policy: { schedule: ['1s'] } });
  await call('GET /webhooks/:webhook', { webhook });
  await listed('GET /webhooks');
  await stage.posthorn.api.publish('answers.hook');
  await stage.posthorn.api.publish('answers.hook');
  await listed('GET /webhooks/:webhook/deliveries', { webhook });
  await call('POST /webhooks/:webhook/skip', { webhook });
  await call('PATCH /webhooks/:webhook', { webhook }, { retry_policy: { preset: 'quick', client_errors: 'fail' } });
  for (const move of ['resume', 'pause', 'disable', 'enable']) {
    await call(`POST /webhooks/:webhook/${move}`, { webhook });
  }
  await call('POST /webhooks/sample', {}, { signature: { header: 'X-S' }, body: 'x' });
  await call('POST /webhooks/:webhook/sample', { webhook }, {});
  await call('POST /webhooks/:webhook/test', { webhook });
  const { id: attempt } = await call('POST /webhooks/:webhook/test', { webhook }, { data: {} }, '?wait=true');
  await call('GET /webhooks/:webhook/tests/:attempt', { webhook, attempt });
  await listed('GET /webhooks/:webhook/tests', { webhook });
  await call('POST /webhooks/:webhook/secret/rotate', { webhook }, { grace: '1h' });
  expect((await call('GET /webhooks/:webhook/secret', { webhook })).previous).toHaveLength(1);
  await call('DELETE /webhooks/:webhook', { webhook });
});

test.each(DELIVERY_STATES)('a delivery that is %s', async (state) => {
  const { id: delivery, webhook } = await stage.make(state);
  expect(await call('GET /deliveries/:delivery', { delivery })).toMatchObject({ status: state });
  await call('GET /webhooks/:webhook/deliveries/:delivery', { webhook, delivery });
  await call('GET /deliveries/:delivery/status', { delivery });
  const { data } = await call('GET /deliveries', {}, undefined, `?status=${state}`);
  expect(data.map(({ id }: { id: string }) => id)).toContain(delivery);
  // Where its endpoint is unwell, or was made so.
  await call('GET /webhooks/:webhook', { webhook });
});

test('what operators do to deliveries', async () => {
  const waiting = await stage.make('retrying');
  await call('POST /deliveries/:delivery/reschedule', { delivery: waiting.id }, { at: inAnHour() });
  await call('POST /deliveries/:delivery/retry', { delivery: waiting.id });
  await call('POST /webhooks/deliveries/:delivery/retry', { delivery: waiting.id });
  await call('POST /webhooks/:webhook/deliveries/:delivery/retry', { webhook: waiting.webhook, delivery: waiting.id });
  await call('POST /deliveries/:delivery/cancel', { delivery: waiting.id });
  await listed('GET /deliveries');
});

test('a failed delivery, and its event sent again', async () => {
  const { id, event } = await stage.make('failed');
  const detail = await call('GET /deliveries/:delivery', { delivery: id });
  expect((await call('GET /deliveries/:delivery/attempts', { delivery: id })).data).toHaveLength(
    detail.attempts.length,
  );
  expect(detail).toMatchObject({ failed_because: 'exhausted', attempts: [{ response: { body: 'so' } }] });
  expect(await call('POST /events/:event/replay', { event })).toMatchObject({ data: [{ result: 'replayed' }] });
});

test('an attempt without an answer', async () => {
  const { api } = stage.posthorn;
  // Nothing listens on the port for "discard" of this machine.
  await api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['answers.gone'], retry_policy: { schedule: [] } });
  const delivery = await api.onlyDelivery((await api.publish('answers.gone')).id);
  await api.untilStatus(delivery, 'failed');
  expect(await call('GET /deliveries/:delivery', { delivery })).toMatchObject({
    attempts: [{ error: { code: 'connection_refused' }, response: null }],
  });
});

test('replays and dead letters', async () => {
  const { webhook } = await stage.make('failed');
  await stage.make('failed');
  await listed('GET /dead-letters');
  const { id: replay } = await call('POST /webhooks/:webhook/replay', { webhook }, { since: hourAgo() });
  await call('GET /replays/:replay', { replay });
  await until('the replay to be completed', async () => {
    return (await call('GET /replays/:replay', { replay })).status === 'completed';
  });
  const letters = { webhook_id: webhook, event_types: ['a.b'], since: hourAgo(), rate_limit: '1/1d' };
  await call('POST /dead-letters/replay', {}, letters);
  await stage.make('failed');
  const slow = { since: hourAgo(), rate_limit: '1/1d' };
  const { id: cancelled } = await call('POST /dead-letters/replay', {}, slow);
  await call('POST /replays/:replay/cancel', { replay: cancelled });
  await call('GET /replays/:replay', { replay: cancelled });
  await listed('GET /replays');
  await call('POST /dead-letters/discard', {}, {});
});

test('event types', async () => {
  const name = 'answers.described';
  const schema = { type: 'object', properties: { n: { type: 'number' } } };
  await call('POST /event-types', {}, { name, description: 'What it is', key_fields: ['n'] });
  await call('POST /event-types/:name/versions', { name }, { version: '1.0', schema, example: { n: 1 } });
  await call('PATCH /event-types/:name', { name }, { deprecated: true });
  await call('GET /event-types/:name', { name });
  await call('GET /event-types/:name/docs', { name });
  await call('POST /event-types/seed');
  await listed('GET /event-types');
  await call('DELETE /event-types/:name', { name });
});

test('settings, addresses and the audit log', async () => {
  await call('GET /settings');
  await call('PATCH /settings', {}, { endpoint_verification: 'optional' });
  await call('PATCH /settings', {}, { endpoint_verification: 'off' });
  await call('GET /sender-addresses');
  await listed('GET /audit-log');
});

test('the verification of an endpoint', async () => {
  const { webhook } = await stage.make('delivered');
  await call('POST /webhooks/:webhook/verify', { webhook });
  await call('POST /webhooks/:webhook/verify', { webhook }, undefined, '?wait=true');
});

test('tenants and keys', async () => {
  const { id: tenant } = await call('POST /tenants', {}, { name: 'Answers' });
  await listed('GET /tenants');
  const body = { tenant_id: tenant, scopes: ['read'], expires_in: '1d', name: 'reader' };
  const { id: key } = await call('POST /api-keys', {}, body);
  await listed('GET /api-keys');
  await call('POST /api-keys/:key/revoke', { key });
});

describe('problems', () => {
  const nothing = toPublicId('delivery', newUuid());

  test.each<[string, { body?: unknown; headers?: Record<string, string> }]>([
    ['GET /events', { headers: { authorization: '' } }],
    [`GET /deliveries/${nothing}`, {}],
    ['POST /events', { body: '{' }],
    ['POST /events', { body: {} }],
    ['POST /events', { body: '{}', headers: { 'content-type': 'text/plain' } }],
    ['POST /events', { body: `"${'x'.repeat(2 ** 20)}"` }],
    ['GET /events?unknown=1', {}],
    ['PATCH /events', {}],
  ])('%s', async (what, { body, headers }) => {
    const [method = '', path = ''] = what.split(' ');
    const answer = await stage.posthorn.api.call(method, path, body, headers);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(problemOut.safeParse(answer.body).error?.issues).toBeUndefined();
  });
});

// Last: what no test above has called is not known to match.
test('every success that the document names was seen', () => {
  const named = routes.flatMap(({ method, path, doc }) =>
    Object.keys(doc.answers).map((status) => `${method.toUpperCase()} ${path} ${status}`),
  );
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((one) => !seen.has(one))).toEqual([]);
});
