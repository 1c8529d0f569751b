import { newUuid, toPublicId } from '../../src/domain/ids';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, expectProblem, send, sql } from './support';

/** Nothing is delivered here: no worker, and http URLs are not allowed, as in production. */
let posthorn: Installation;
let webhook: string;
let rowsBefore: unknown;

beforeAll(async () => {
  posthorn = await startInstallation({ POSTHORN_ALLOW_HTTP: 'false' }, { worker: false });
  const { api } = posthorn;
  webhook = (await api.ok('POST', '/webhooks', { url: 'https://example.com/', events: ['*'], active: false })).id;
  await api.publish();
  rowsBefore = await countRows();
});
afterAll(() => posthorn?.stop());

const JSON_TYPE = { 'content-type': 'application/json' };
const EVENT = '{"type":"order.created","data":{}}';
const MIB = 1024 * 1024;
/** A body that is right but for some fields. */
const event = (change: object) => ({ type: 'order.created', data: {}, ...change });
const hook = (change: object) => ({ url: 'https://example.com/', events: ['*'], ...change });

describe('a body that cannot be read', () => {
  test.each<[string, string | Uint8Array, Record<string, string>, number, string]>([
    ['malformed JSON', '{"type":"order.created",', JSON_TYPE, 400, 'malformed_json'],
    ['a trailing comma', '{"type":"order.created","data":{},}', JSON_TYPE, 400, 'malformed_json'],
    ['text after the object', `${EVENT} x`, JSON_TYPE, 400, 'malformed_json'],
    ['white space only', '  ', JSON_TYPE, 400, 'malformed_json'],
    [
      'bytes that are not UTF-8',
      Buffer.from('{"type":"a","data":{"x":"\xff"}}', 'latin1'),
      JSON_TYPE,
      400,
      'malformed_json',
    ],
    [
      'UTF-16',
      Buffer.from(EVENT, 'utf16le'),
      { 'content-type': 'application/json; charset=utf-16le' },
      415,
      'unsupported_media_type',
    ],
    ['another content type', EVENT, { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
    [
      'a form',
      'type=order.created',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'unsupported_media_type',
    ],
    ['no content type', Buffer.from(EVENT), {}, 415, 'unsupported_media_type'],
    ['compression', EVENT, { ...JSON_TYPE, 'content-encoding': 'gzip' }, 415, 'unsupported_media_type'],
    ['more than 1 MiB', `${EVENT}${' '.repeat(MIB)}`, JSON_TYPE, 413, 'body_too_large'],
  ])('%s', async (_what, body, headers, status, code) => {
    expectProblem(await send(posthorn.api, 'POST', '/api/v1/events', { body, headers }), { status, code });
  });

  test('exactly 1 MiB is read, and refused for its data only', async () => {
    const body = `{"type":"a","data":{"x":"${'x'.repeat(MIB - 28)}"}}`;
    expect(Buffer.byteLength(body)).toBe(MIB);
    const answer = await send(posthorn.api, 'POST', '/api/v1/events', { body, headers: JSON_TYPE });
    expectBadField(answer, 'data', /at most 262144 bytes/);
  });
});

describe('an event', () => {
  test.each<[string, unknown, string, RegExp]>([
    ['that is a number', '5', 'body', /must be an object/],
    ['that is null', 'null', 'body', /must be an object/],
    ['that is a list', '[]', 'body', /must be an object/],
    ['that is not there', undefined, 'body', /is required: an object/],
    ['without type', { data: {} }, 'type', /is required: an event type such as/],
    ['without data', { type: 'order.created' }, 'data', /is required: an object/],
    ['whose data is a list', event({ data: [] }), 'data', /must be an object/],
    ['whose data is null', event({ data: null }), 'data', /must be an object/],
    ['whose data is text', event({ data: '{}' }), 'data', /must be an object/],
    ['whose type is a number', event({ type: 5 }), 'type', /must be an event type such as/],
    ['whose type has capitals', event({ type: 'Order' }), 'type', /lower-case words/],
    ['whose type is a pattern', event({ type: 'order.*' }), 'type', /lower-case words/],
    ['whose type is long', event({ type: 'x'.repeat(129) }), 'type', /at most 128/],
    ['with an unknown field', event({ tenant_id: 'ten_x' }), 'tenant_id', /is not known here/],
    [
      'with an unknown field named __proto__',
      '{"type":"a","data":{},"__proto__":{}}',
      '__proto__',
      /is not known here/,
    ],
    ['with an odd version', event({ version: 'v 1' }), 'version', /letters, digits/],
    ['with an empty id', event({ id: '' }), 'id', /1 to 256 characters/],
    ['with a long id', event({ id: 'x'.repeat(257) }), 'id', /1 to 256 characters/],
    ['with a NUL in its id', event({ id: 'a\0b' }), 'id', /without NUL/],
    ['with half a character in its id', '{"type":"a","data":{},"id":"\\ud800"}', 'id', /broken Unicode/],
    ['with an unknown priority', event({ priority: 'urgent' }), 'priority', /one of high, normal or low/],
    ['with a priority in numbers', event({ priority: 0 }), 'priority', /one of high, normal or low/],
    ['with a type of Posthorn’s own', event({ type: 'posthorn.x' }), 'type', /must not begin with posthorn\./],
    [
      'that Posthorn itself would publish',
      event({ type: 'posthorn.webhook.failing' }),
      'type',
      /must not begin with posthorn\./,
    ],
    ['with more than 256 kB of data', event({ data: { x: 'x'.repeat(256 * 1024) } }), 'data', /at most 262144 bytes/],
  ])('%s', async (_what, body, field, rule) => {
    expectBadField(await posthorn.api.call('POST', '/events', body), field, rule);
  });

  test('names every field that breaks a rule', async () => {
    const answer = await posthorn.api.call('POST', '/events', { type: 'A', data: 1, x: 1 });
    expect(answer.body.errors.map((error: { field: string }) => error.field).sort()).toEqual(['data', 'type', 'x']);
  });
});

describe('a webhook', () => {
  test.each<[string, unknown, string, RegExp]>([
    ['without URL', { events: ['*'] }, 'url', /is required: an absolute URL/],
    ['whose URL is none', hook({ url: 'example.com/hook' }), 'url', /absolute URL/],
    ['whose URL is ftp', hook({ url: 'ftp://example.com/' }), 'url', /must begin with https/],
    ['whose URL is a script', hook({ url: 'javascript:alert(1)' }), 'url', /must begin with https/],
    ['whose URL is http', hook({ url: 'http://example.com/' }), 'url', /must begin with https/],
    ['with a user name', hook({ url: 'https://user@example.com/' }), 'url', /user name or password/],
    ['with a password', hook({ url: 'https://:secret@example.com/' }), 'url', /user name or password/],
    ['with a long URL', hook({ url: `https://example.com/${'x'.repeat(2_048)}` }), 'url', /at most 2048/],
    ['for no events', hook({ events: [] }), 'events', /1 to 100 patterns such as/],
    [
      'for too many events',
      hook({ events: Array.from({ length: 101 }, (_, i) => `e${i}`) }),
      'events',
      /1 to 100 patterns such as/,
    ],
    ['with a bad pattern', hook({ events: ['ok', '*.created'] }), 'events.1', /a prefix such as order/],
    ['with a short secret', hook({ secret: 'hunter2' }), 'secret', /too weak: it has 7 characters/],
    ['with a secret that repeats', hook({ secret: `whsec_${'A'.repeat(28)}` }), 'secret', /too weak: .* repeated/],
    ['with a secret of two lines', hook({ secret: 'hunter2\nhunter2-hunter2' }), 'secret', /printable/],
    ['with text for a flag', hook({ active: 'yes' }), 'active', /true or false/],
    ['with a nested metadata', hook({ metadata: { a: { b: 'c' } } }), 'metadata.a', /must be a text of at most 500/],
    [
      'with too much metadata',
      hook({ metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [i, ''])) }),
      'metadata',
      /at most 50/,
    ],
    ['with a NUL in its metadata', hook({ metadata: { a: '\0' } }), 'metadata.a', /without NUL/],
    ['with a NUL in its description', hook({ description: '\0' }), 'description', /without NUL/],
    ['with a long description', hook({ description: 'x'.repeat(501) }), 'description', /at most 500/],
    ['with a short timeout', hook({ timeout: '999ms' }), 'timeout', /from 1s to 30s/],
    ['with a long timeout', hook({ timeout: '31s' }), 'timeout', /from 1s to 30s/],
    ['with a timeout in numbers', hook({ timeout: 5 }), 'timeout', /a duration from 1s to 30s/],
    ['with an unknown preset', hook({ retry_policy: { preset: 'never' } }), 'retry_policy', /must be/],
    ['with a wait of two weeks', hook({ retry_policy: { schedule: ['14d'] } }), 'retry_policy', /at most 7d/],
    ['with 51 waits', hook({ retry_policy: { schedule: Array(51).fill('1s') } }), 'retry_policy', /up to 50/],
    [
      'with a preset and a schedule',
      hook({ retry_policy: { preset: 'quick', schedule: [] } }),
      'retry_policy',
      /must be/,
    ],
    [
      'with jitter above 1',
      hook({ retry_policy: { preset: 'quick', jitter: 2 } }),
      'retry_policy.jitter',
      /a number from 0 to 1/,
    ],
    ['with an empty signature style', hook({ signature_styles: [''] }), 'signature_styles.0', /one of standard/],
    [
      'with an unknown signature style',
      hook({ signature_styles: ['standard', 'slack'] }),
      'signature_styles.1',
      /one of standard, x-webhook, github or stripe/,
    ],
    ['with a signature style that is no list', hook({ signature_styles: 'github' }), 'signature_styles', /a list of/],
    [
      'with signature styles again and again',
      hook({ signature_styles: Array(5).fill('github') }),
      'signature_styles',
      /at most 4 of standard/,
    ],
    ['with a rate limit without time', hook({ rate_limit: '100' }), 'rate_limit', /such as "100\/1s"/],
    ['with a rate limit of nothing', hook({ rate_limit: '0/1s' }), 'rate_limit', /count from 1 to 1000000/],
    ['with a rate limit per millisecond', hook({ rate_limit: '5/1ms' }), 'rate_limit', /duration from 1s to 1d/],
    ['with a rate limit per week', hook({ rate_limit: '5/7d' }), 'rate_limit', /duration from 1s to 1d/],
    ['with a rate limit in numbers', hook({ rate_limit: 100 }), 'rate_limit', /such as 100/],
    ['with a cap of nothing', hook({ max_in_flight: 0 }), 'max_in_flight', /a whole number from 1 to 1000, or null/],
    ['with a very high cap', hook({ max_in_flight: 1_001 }), 'max_in_flight', /a whole number from 1 to 1000, or null/],
    ['with half a cap', hook({ max_in_flight: 1.5 }), 'max_in_flight', /a whole number from 1 to 1000, or null/],
    ['with a cap as text', hook({ max_in_flight: '5' }), 'max_in_flight', /a whole number from 1 to 1000, or null/],
    ['with text for its order', hook({ ordered: 'yes' }), 'ordered', /true or false/],
    ['with nothing for its order', hook({ ordered: null }), 'ordered', /true or false/],
    ['with a breaker that is a flag', hook({ circuit_breaker: false }), 'circuit_breaker', /must be an object/],
    [
      'with a breaker after nothing',
      hook({ circuit_breaker: { failures: 0 } }),
      'circuit_breaker.failures',
      /from 1 to 1000/,
    ],
    [
      'with a breaker after 1,001',
      hook({ circuit_breaker: { failures: 1_001 } }),
      'circuit_breaker.failures',
      /from 1 to 1000/,
    ],
    ['with a short window', hook({ circuit_breaker: { window: '999ms' } }), 'circuit_breaker.window', /from 1s to 1d/],
    ['with a long opening', hook({ circuit_breaker: { open_for: '2d' } }), 'circuit_breaker.open_for', /from 1s to 1d/],
    ['with more in its breaker', hook({ circuit_breaker: { after: 5 } }), 'circuit_breaker.after', /is not known here/],
    [
      'disabled after no failed delivery',
      hook({ disable_after: { failed_deliveries: 0 } }),
      'disable_after.failed_deliveries',
      /from 1 to 100000/,
    ],
    [
      'disabled within seconds',
      hook({ disable_after: { failing_for: '59s' } }),
      'disable_after.failing_for',
      /from 1m to 30d/,
    ],
    [
      'disabled after a year',
      hook({ disable_after: { failing_for: '365d' } }),
      'disable_after.failing_for',
      /from 1m to 30d/,
    ],
    ['disabled after something else', hook({ disable_after: { days: 5 } }), 'disable_after.days', /is not known here/],
    ['disabled after a number', hook({ disable_after: 5 }), 'disable_after', /must be an object/],
    ['with health of its own', hook({ health: {} }), 'health', /is not known here/],
    ['with a status', hook({ status: 'disabled' }), 'status', /is not known here/],
    ['with a tenant', hook({ tenant_id: 'ten_x' }), 'tenant_id', /is not known here/],
  ])('%s', async (_what, body, field, rule) => {
    const answer = await posthorn.api.call('POST', '/webhooks', body);
    expectBadField(answer, field, rule);
    expect(JSON.stringify(answer.body)).not.toMatch(/hunter2|:secret@/);
  });

  test.each<[string, unknown]>([
    ['none of its forms', {}],
    ['no object', 'quick'],
    ['a list', ['1s']],
    ['a preset of another kind', { preset: 1 }],
    ['a preset and more', { preset: 'quick', factor: 2 }],
    ['a schedule in numbers', { schedule: [1, 2] }],
    ['a schedule that is one wait', { schedule: '1s' }],
    ['a wait below nothing', { schedule: ['-1s'] }],
    ['a growing wait without attempts', { initial: '1s' }],
    ['attempts without a wait', { max_attempts: 5 }],
    ['no attempt', { initial: '1s', max_attempts: 0 }],
    ['52 attempts', { initial: '1s', max_attempts: 52 }],
    ['half an attempt', { initial: '1s', max_attempts: 2.5 }],
    ['a shrinking wait', { initial: '1s', max_attempts: 5, factor: 0.5 }],
    ['a factor of 11', { initial: '1s', max_attempts: 5, factor: 11 }],
    ['a first wait of two weeks', { initial: '14d', max_attempts: 5 }],
    ['a longest wait of two weeks', { initial: '1s', max_attempts: 5, max_interval: '14d' }],
    ['a schedule and a growing wait', { schedule: ['1s'], initial: '1s', max_attempts: 5 }],
    ['a jitter below nothing', { preset: 'quick', jitter: -0.1 }],
    ['a jitter as text', { schedule: [], jitter: '0.1' }],
    ['an end within a second', { preset: 'quick', max_duration: '999ms' }],
    ['an end after 31 days', { schedule: [], max_duration: '31d' }],
    ['an end in numbers', { initial: '1s', max_attempts: 5, max_duration: 60 }],
    ['another way with client errors', { preset: 'quick', client_errors: 'ignore' }],
    ['an unknown member', { preset: 'quick', retries: 5 }],
  ])('whose retry policy holds %s', async (_what, retry_policy) => {
    for (const [method, path, body] of [
      ['POST', '/webhooks', hook({ retry_policy })],
      ['PATCH', `/webhooks/${webhook}`, { retry_policy }],
    ] as const) {
      const answer = await posthorn.api.call(method, path, body);
      expectProblem(answer, { status: 422, code: 'validation_failed' });
      expect(answer.body.errors.length).toBeGreaterThan(0);
      for (const { field } of answer.body.errors) expect(field).toMatch(/^retry_policy\b/);
    }
  });

  test('cannot be changed to what it could not be made as, nor to nothing', async () => {
    const patch = (body: unknown) => posthorn.api.call('PATCH', `/webhooks/${webhook}`, body);
    expectBadField(await patch({}), 'body', /must change something/);
    expectBadField(await patch({ url: 'http://example.com/' }), 'url', /must begin with https/);
    expectBadField(await patch({ url: 'nowhere' }), 'url', /absolute URL/);
    expectBadField(await patch({ secret: 'whsec_x' }), 'secret', /is not known here/);
    expectBadField(await patch({ events: [] }), 'events', /1 to 100 patterns/);
    expectBadField(await patch({ active: null }), 'active', /true or false/);
    expectProblem(await patch('{'), { status: 400, code: 'malformed_json' });
    expect(await posthorn.api.ok('GET', `/webhooks/${webhook}`)).toMatchObject({ version: 1, active: false });
  });
});

describe('a query', () => {
  const id = (kind: 'event' | 'webhook' | 'delivery') => toPublicId(kind, newUuid());
  test.each<[string, string, RegExp]>([
    ['/deliveries?limit=0', 'limit', /from 1 to 200/],
    ['/deliveries?limit=201', 'limit', /from 1 to 200/],
    ['/deliveries?limit=ten', 'limit', /a whole number/],
    ['/deliveries?limit=1.5', 'limit', /a whole number/],
    ['/deliveries?limit=1&limit=2', 'limit', /a whole number/],
    ['/deliveries?cursor=abc', 'cursor', /begins with del_/],
    [`/deliveries?cursor=${id('event')}`, 'cursor', /begins with del_/],
    [`/webhooks?cursor=${id('delivery')}`, 'cursor', /begins with wh_/],
    ['/deliveries?status=lost', 'status', /retrying/],
    ['/deliveries?state=lost', 'state', /retrying/],
    ['/deliveries?state=failed&status=failed', 'state', /former name/],
    ['/deliveries?status=', 'status', /retrying/],
    ['/deliveries?since=yesterday', 'since', /RFC 3339/],
    ['/deliveries?since=2026-02-30T00:00:00Z', 'since', /RFC 3339/],
    ['/deliveries?until=2026-02-03', 'until', /RFC 3339/],
    ['/deliveries?event_type=A', 'event_type', /lower-case/],
    ['/deliveries?webhook_id=5', 'webhook_id', /begins with wh_/],
    ['/events?type=order.*', 'type', /lower-case/],
    ['/webhooks?active=true', 'active', /is not known here/],
    ['/webhooks?offset=5', 'offset', /is not known here/],
  ])('%s', async (path, field, rule) => {
    expectBadField(await posthorn.api.call('GET', path), field, rule);
  });

  test('is refused where none is known', async () => {
    expectBadField(await posthorn.api.call('POST', '/events?dry_run=true', event({})), 'dry_run', /is not known here/);
  });
});

describe('a path', () => {
  test.each(['/api/v1/nothing', '/api/v2/events', '/', '/api/v1/', '/api/v1/events/%zz', '/api/v1/deliveries/a/b/c'])(
    '%s is not there',
    async (path) => {
      expectProblem(await send(posthorn.api, 'GET', path), { status: 404, code: 'not_found' });
    },
  );

  test.each([
    ['PUT', '/events', 'POST, GET'],
    ['DELETE', '/events', 'POST, GET'],
    ['POST', '/webhooks/wh_x', 'GET, PATCH, DELETE'],
    ['PUT', '/webhooks/wh_x', 'GET, PATCH, DELETE'],
    ['GET', '/deliveries/del_x/retry', 'POST'],
    ['POST', '/deliveries', 'GET'],
  ])('%s %s is not allowed, and the answer says what is', async (method, path, allow) => {
    const answer = await posthorn.api.call(method, path);
    expectProblem(answer, { status: 405, code: 'method_not_allowed' });
    expect(answer.headers.get('allow')).toBe(allow);
  });

  test.each(['evt_', 'x', `${toPublicId('webhook', newUuid())}`, newUuid(), `${toPublicId('event', newUuid())}`])(
    'with the id %s leads to no event',
    async (id) => {
      expectProblem(await posthorn.api.call('GET', `/events/${id}`), { status: 404, code: 'not_found' });
    },
  );
});

describe('a key', () => {
  const unauthorized = { status: 401, code: 'unauthorized' };
  test.each<[string, Record<string, string>]>([
    ['that is missing', {}],
    ['that is wrong', { authorization: `Bearer ph_test_${'A'.repeat(43)}` }],
    ['that is empty', { authorization: 'Bearer ' }],
    ['in basic authentication', { authorization: `Basic ${Buffer.from('a:b').toString('base64')}` }],
    ['that is very long', { authorization: `Bearer ${'x'.repeat(5_000)}` }],
  ])('%s', async (_what, headers) => {
    const answer = await send(posthorn.api, 'GET', '/api/v1/webhooks', { key: null, headers });
    expectProblem(answer, unauthorized);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('in the query is not looked at', async () => {
    const path = `/api/v1/webhooks?key=${posthorn.api.key}`;
    expectProblem(await send(posthorn.api, 'GET', path, { key: null }), unauthorized);
  });

  test('is asked for before the body is read', async () => {
    const answer = await send(posthorn.api, 'POST', '/api/v1/events', { key: null, body: '{', headers: JSON_TYPE });
    expectProblem(answer, unauthorized);
  });
});

describe('a request id', () => {
  const idOf = async (given: string) => {
    const answer = await posthorn.api.call('GET', '/events/x', undefined, { 'x-request-id': given });
    expectProblem(answer, { status: 404, code: 'not_found' }); // also: the same id in header and body
    return answer.body.request_id;
  };

  test('comes back as it was given', async () => {
    expect(await idOf('order-42.retry_1')).toBe('order-42.retry_1');
  });

  test.each(['with space', 'x'.repeat(65), '{"a":1}'])('%j is replaced', async (given) => {
    expect(await idOf(given)).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('is on good answers as well', async () => {
    const answer = await posthorn.api.call('GET', '/webhooks', undefined, { 'x-request-id': 'mine' });
    expect(answer.headers.get('x-request-id')).toBe('mine');
  });
});

test('nothing of all this was written', async () => {
  expect(await countRows()).toEqual(rowsBefore);
});

async function countRows(): Promise<unknown> {
  const tables = ['webhooks', 'webhook_gates', 'webhook_secrets', 'subscriptions', 'events', 'deliveries'];
  tables.push('delivery_queue', 'idempotency_keys', 'idempotent_requests', 'audit_log');
  return sql(posthorn, `select ${tables.map((name) => `(select count(*) from ${name}) as ${name}`).join(', ')}`);
}
