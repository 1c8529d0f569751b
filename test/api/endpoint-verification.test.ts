import { createHmac, randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { TestApi } from '../support/api';
import { readable } from '../support/histories';
import { type Installation, startInstallation } from '../support/installation';
import { type ReceivedRequest, type Receiver, type ReceiverAnswer, startReceiver } from '../support/receiver';
import { connectTemporal } from '../support/temporal';
import { until } from '../support/until';
import { expectProblem, otherTenant, sql } from './support';

/** Endpoints that prove, or do not prove, that they want deliveries: on the real engine. */

let posthorn: Installation;
let made = 0;
const receivers: Receiver[] = [];
beforeAll(async () => {
  posthorn = await startInstallation({ POSTHORN_VERIFICATION_ORIGIN: 'hooks.example.com' });
});
afterEach(async () => {
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});
afterAll(() => posthorn?.stop());

async function endpoint(handler: (request: ReceivedRequest) => ReceiverAnswer): Promise<Receiver> {
  const receiver = await startReceiver(handler);
  receivers.push(receiver);
  return receiver;
}

const challengeOf = ({ method, path, body }: ReceivedRequest): string =>
  method === 'GET'
    ? new URL(path, 'http://x').searchParams.get('challenge')!
    : (JSON.parse(body.toString()).challenge as string);
const NO = { status: 404 };

/** What an endpoint does that supports one way only. */
const json = (r: ReceivedRequest) =>
  r.method === 'POST' ? { status: 200, body: JSON.stringify({ challenge: challengeOf(r) }) } : NO;
const bare = (r: ReceivedRequest) => (r.method === 'POST' ? { status: 200, body: `${challengeOf(r)}\n` } : NO);
const byGet = (r: ReceivedRequest) => (r.method === 'GET' ? { status: 200, body: challengeOf(r) } : NO);
const byOptions = (allowed: string) => (r: ReceivedRequest) =>
  r.method === 'OPTIONS' ? { status: 200, headers: { 'WebHook-Allowed-Origin': allowed } } : NO;

/** A tenant of its own, so that modes do not get into each other's way. */
async function tenant(mode?: string): Promise<TestApi> {
  const api = await otherTenant(posthorn, `verification ${++made}`);
  if (mode) await api.ok('PATCH', '/settings', { endpoint_verification: mode });
  return api;
}
const verify = (api: TestApi, id: string) => api.call('POST', `/webhooks/${id}/verify?wait=true`);
const read = (api: TestApi, id: string) => api.ok('GET', `/webhooks/${id}`);
const settled = (api: TestApi, id: string) =>
  until('the verification to be over', async () => {
    const { verification } = await read(api, id);
    return verification.status !== 'pending' && verification;
  });

describe('the ways', () => {
  test.each([
    ['a POST answered as JSON', json, 'post', ['POST']],
    ['a POST answered with the bare challenge', bare, 'post', ['POST']],
    ['a GET', byGet, 'get', ['POST', 'GET']],
    ['CloudEvents’ OPTIONS', byOptions('hooks.example.com'), 'options', ['POST', 'GET', 'OPTIONS']],
    ['CloudEvents’ OPTIONS for anyone', byOptions('*'), 'options', ['POST', 'GET', 'OPTIONS']],
  ])('%s', async (_what, handler, method, asked) => {
    const receiver = await endpoint(handler);
    const { api } = posthorn;
    const { id } = await api.createWebhook(receiver, { events: ['nothing.here'] });
    expect((await read(api, id)).verification).toEqual({
      status: 'unverified',
      method: null,
      verified_at: null,
      last_error: null,
    });
    const answer = await verify(api, id);
    expect(answer).toMatchObject({
      status: 200,
      body: { id, verification: { status: 'verified', method, verified_at: expect.any(String), last_error: null } },
    });
    expect(receiver.requests.map((request) => request.method)).toEqual(asked);
  });

  test('each is asked as it is written down', async () => {
    const receiver = await endpoint(() => NO);
    const { id, secret } = await posthorn.api.createWebhook(
      { url: '' },
      { url: `${receiver.url}/hook?token=a%20b&x`, events: ['nothing.here'], headers: { 'X-Own': 'mine' } },
    );
    await verify(posthorn.api, id);
    const [post, get, options] = receiver.requests;
    expect(post).toMatchObject({ method: 'POST', path: '/hook?token=a%20b&x', headers: { 'x-own': 'mine' } });
    const body = new Webhook(secret).verify(post!.body.toString(), post!.headers as Record<string, string>);
    expect(body).toEqual({ type: 'url_verification', challenge: expect.stringMatching(/^[\w-]{64}$/) });
    expect(get!.path).toMatch(/^\/hook\?token=a%20b&x&challenge=[\w-]{64}$/);
    expect(get!.headers).toMatchObject({ 'x-own': 'mine' });
    expect(get!.body).toHaveLength(0);
    expect(options).toMatchObject({
      path: '/hook?token=a%20b&x',
      headers: { 'webhook-request-origin': 'hooks.example.com' },
    });
    expect(challengeOf(get!)).not.toBe(challengeOf(post!));
  });
});

describe('a challenge is signed in the webhook’s own styles,', () => {
  const hmac = (secret: string, ...signed: (string | Buffer)[]) =>
    signed.reduce((made, part) => made.update(part), createHmac('sha256', secret)).digest('hex');
  /** Receivers that check one signature each before they answer. */
  const checks: [string, (r: ReceivedRequest, secret: string) => boolean][] = [
    ['x-webhook', (r, secret) => r.headers['x-webhook-signature'] === `sha256=${hmac(secret, r.body)}`],
    [
      'github',
      (r, secret) =>
        r.headers['x-hub-signature-256'] === `sha256=${hmac(secret, r.body)}` &&
        r.headers['x-github-event'] === 'url_verification' &&
        /^[0-9a-f-]{36}$/.test(String(r.headers['x-github-delivery'])),
    ],
    [
      'stripe',
      (r, secret) => {
        const [, time, signature] = /^t=(\d+),v1=(\w+)$/.exec(String(r.headers['stripe-signature'])) ?? [];
        return signature === hmac(secret, `${time}.`, r.body);
      },
    ],
  ];
  test.each(checks)('%s', async (style, isSigned) => {
    const secret = randomBytes(20).toString('hex');
    const receiver = await endpoint((r) =>
      r.method === 'POST' && isSigned(r, secret)
        ? { status: 200, body: JSON.stringify({ challenge: challengeOf(r) }) }
        : NO,
    );
    const settings = { events: ['nothing.here'], signature_styles: [style], secret };
    const { id } = await posthorn.api.createWebhook(receiver, settings);
    expect((await verify(posthorn.api, id)).body.verification).toMatchObject({ status: 'verified', method: 'post' });
  });

  test('and in a rotation by the secret that the receiver still has', async () => {
    const secret = randomBytes(20).toString('hex');
    const [, isSigned] = checks[0]!;
    const receiver = await endpoint((r) =>
      r.method === 'POST' && isSigned(r, secret) ? { status: 200, body: challengeOf(r) } : NO,
    );
    const { id } = await posthorn.api.createWebhook(receiver, { events: ['nothing.here'], secret });
    await posthorn.api.ok('POST', `/webhooks/${id}/secret/rotate`, {});
    expect((await verify(posthorn.api, id)).body.verification).toMatchObject({ status: 'verified', method: 'post' });
    await posthorn.api.ok('POST', `/webhooks/${id}/secret/rotate`, { grace: '0s' });
    expect((await verify(posthorn.api, id)).body.verification).toMatchObject({ last_error: 'unexpected_status' });
  });
});

describe('what proves nothing', () => {
  const reversed = (r: ReceivedRequest) => [...challengeOf(r)].reverse().join('');
  test.each<[string, (r: ReceivedRequest) => ReceiverAnswer, string]>([
    ['another challenge', (r) => ({ status: 200, body: r.method === 'OPTIONS' ? '' : reversed(r) }), 'wrong_challenge'],
    [
      'the challenge and more',
      (r) => ({ status: 200, body: r.method === 'OPTIONS' ? '' : `${challengeOf(r)}x` }),
      'wrong_challenge',
    ],
    ['nothing but 204', () => ({ status: 204 }), 'wrong_challenge'],
    [
      'the challenge in JSON that is broken',
      (r) => (r.method === 'POST' ? { status: 200, body: `{"challenge":"${challengeOf(r)}"` } : NO),
      'wrong_challenge',
    ],
    ['a challenge that is no text', () => ({ status: 200, body: '{"challenge":1}' }), 'wrong_challenge'],
    [
      'the challenge with an error status',
      (r) => ({ status: 500, body: r.method === 'OPTIONS' ? '' : challengeOf(r) }),
      'unexpected_status',
    ],
    ['another origin', byOptions('other.example.com'), 'unexpected_status'],
    ['a broken connection', () => 'reset', 'connection_reset'],
  ])('%s', async (_what, handler, error) => {
    const receiver = await endpoint(handler);
    const { id } = await posthorn.api.createWebhook(receiver, { events: ['nothing.here'] });
    const { body } = await verify(posthorn.api, id);
    expect(body.verification).toEqual({ status: 'failed', method: null, verified_at: null, last_error: error });
    expect(receiver.requests.map((request) => request.method)).toEqual(['POST', 'GET', 'OPTIONS']);
  });

  test('a redirect, which is not followed', async () => {
    const target = await endpoint(json);
    const receiver = await endpoint(() => ({ status: 307, headers: { location: `${target.url}/hook` } }));
    const { id } = await posthorn.api.createWebhook(receiver, { events: ['nothing.here'] });
    const { body } = await verify(posthorn.api, id);
    expect(body.verification).toMatchObject({ status: 'failed', last_error: 'unexpected_status' });
    expect(target.requests).toEqual([]);
  });

  test('an endpoint that never answers is given up, within the time that a caller waits', async () => {
    const receiver = await endpoint(() => 'hang');
    const { id } = await posthorn.api.createWebhook(receiver, { events: ['nothing.here'] });
    const first = verify(posthorn.api, id);
    await receiver.waitFor(1);
    // Asking again while it is under way asks the endpoint nothing more.
    const again = await posthorn.api.call('POST', `/webhooks/${id}/verify`);
    expect(again).toMatchObject({ status: 202, body: { verification: { status: 'pending' } } });
    const { status, body } = await first;
    expect(status).toBe(200);
    expect(body.verification).toMatchObject({ status: 'failed', last_error: 'headers_timeout' });
    expect(receiver.requests.map((request) => request.method)).toEqual(['POST', 'GET', 'OPTIONS']);
    const log = await sql(posthorn, `select 1 from audit_log where target = $1 and action = 'webhook.verify'`, [id]);
    expect(log).toHaveLength(1);
  });

  test('an address that deliveries may not reach is not asked', async () => {
    // Registered while its name led elsewhere.
    const { id } = await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['nothing.here'] });
    await sql(posthorn, `update webhooks set url = 'http://10.0.0.1/hook' where url like '%127.0.0.1:9/%'`);
    const { body } = await verify(posthorn.api, id);
    expect(body.verification).toMatchObject({ status: 'failed', last_error: 'blocked_address' });
  });
});

test('what was proven stays proven where a later round fails, until the URL changes', async () => {
  const receiver = await endpoint(json);
  const { api } = posthorn;
  const { id, secret: _ } = await api.createWebhook(receiver, { events: ['nothing.here'] });
  const first = (await verify(api, id)).body.verification;
  receiver.setHandler(() => NO);
  expect((await verify(api, id)).body.verification).toEqual({ ...first, last_error: 'unexpected_status' });
  await api.ok('PATCH', `/webhooks/${id}`, { url: `${receiver.url}/hook`, description: 'the same URL' });
  expect((await read(api, id)).verification).toMatchObject({ status: 'verified' });
  await api.ok('PATCH', `/webhooks/${id}`, { url: `${receiver.url}/other` });
  expect((await read(api, id)).verification).toMatchObject({ status: 'unverified', verified_at: null, method: null });
});

describe('modes', () => {
  test('off: nothing is asked, until someone wants it', async () => {
    const api = await tenant();
    expect(await api.ok('GET', '/settings')).toMatchObject({ endpoint_verification: 'off' });
    const receiver = await endpoint(json);
    await api.createWebhook(receiver, { events: ['a.b'] });
    const delivery = await api.onlyDelivery((await api.publish('a.b')).id);
    await api.untilStatus(delivery, 'delivered');
    expect(receiver.requests).toHaveLength(1);
  });

  test('optional: a new webhook is asked and the result shown; deliveries go either way', async () => {
    const api = await tenant('optional');
    const receiver = await endpoint((r) => (r.path === '/hook' ? NO : json(r)));
    const { id } = await api.createWebhook(receiver, { events: ['a.b'], retry_policy: { schedule: [] } });
    expect(await settled(api, id)).toMatchObject({ status: 'failed', last_error: 'unexpected_status' });
    const delivery = await api.onlyDelivery((await api.publish('a.b')).id);
    await api.untilStatus(delivery, 'failed');
    await api.ok('PATCH', `/webhooks/${id}`, { url: `${receiver.url}/other` });
    expect(await settled(api, id)).toMatchObject({ status: 'verified', method: 'post' });
  });

  test('required: until it has answered, an endpoint gets nothing else; then its backlog flows', async () => {
    const api = await tenant('required');
    const receiver = await endpoint(() => NO);
    const { id } = await api.createWebhook(receiver, { events: ['a.b'] });
    expect(await settled(api, id)).toMatchObject({ status: 'failed' });
    const deliveries = await api.publishDeliveries('a.b', 3);
    for (const delivery of deliveries) {
      expect(await api.delivery(delivery)).toMatchObject({ status: 'held', held_because: 'unverified' });
    }
    expect((await api.ok('GET', '/deliveries?status=held')).data).toHaveLength(3);
    // Neither an operator's wish nor an open gate lets them through.
    await api.ok('POST', `/deliveries/${deliveries[0]}/retry`);
    await api.ok('POST', `/webhooks/${id}/resume`);
    await passing(api);
    expect(await api.delivery(deliveries[0]!)).toMatchObject({ status: 'held', held_because: 'unverified' });
    expect(receiver.requests.map((request) => request.method)).toEqual(['POST', 'GET', 'OPTIONS']);

    receiver.setHandler((r) => (r.headers['x-webhook-event'] ? { status: 204 } : json(r)));
    expect((await verify(api, id)).body.verification).toMatchObject({ status: 'verified' });
    for (const delivery of deliveries) await api.untilStatus(delivery, 'delivered');
  });

  test('required: a new URL is to be proven anew, and a retry that is due meanwhile is held', async () => {
    const api = await tenant('required');
    const receiver = await endpoint((r) => (r.headers['x-webhook-event'] ? { status: 500 } : json(r)));
    const { id } = await api.createWebhook(receiver, {
      events: ['a.b'],
      retry_policy: { schedule: ['1s', '1s'], jitter: 0 },
    });
    expect(await settled(api, id)).toMatchObject({ status: 'verified' });
    const delivery = await api.onlyDelivery((await api.publish('a.b')).id);
    await api.untilStatus(delivery, 'retrying');
    const other = await endpoint(() => NO);
    await api.ok('PATCH', `/webhooks/${id}`, { url: `${other.url}/hook` });
    await until('it to be held', async () => (await api.delivery(delivery)).held_because === 'unverified');
    expect(await settled(api, id)).toMatchObject({ status: 'failed' });
    expect(other.requests.filter((request) => request.headers['x-webhook-event'])).toEqual([]);
    other.setHandler((r) => (r.headers['x-webhook-event'] ? { status: 204 } : json(r)));
    await verify(api, id);
    expect(await api.untilStatus(delivery, 'delivered')).toMatchObject({ attempt_count: 2 });
  });

  test('no longer required: what was held for it flows; newly required: what is in service stays so', async () => {
    const api = await tenant('required');
    const receiver = await endpoint((r) => (r.headers['x-webhook-event'] ? { status: 204 } : NO));
    await api.createWebhook(receiver, { events: ['a.b'] });
    const [held] = await api.publishDeliveries('a.b', 1);
    expect(await api.delivery(held!)).toMatchObject({ held_because: 'unverified' });
    await api.ok('PATCH', '/settings', { endpoint_verification: 'off' });
    await api.untilStatus(held!, 'delivered');
    await api.ok('PATCH', '/settings', { endpoint_verification: 'required' });
    const [next] = await api.publishDeliveries('a.b', 1);
    await api.untilStatus(next!, 'delivered');
    const log = await sql<{ details: object }>(
      posthorn,
      `select details from audit_log where action = 'settings.update' and tenant_id in
        (select id from tenants where name = $1) order by id`,
      [`verification ${made}`],
    );
    expect(log.map(({ details }) => details)).toEqual(
      ['required', 'off', 'required'].map((endpoint_verification) => ({ endpoint_verification })),
    );
  });
});

test('another tenant cannot verify a webhook, nor one be verified that was deleted', async () => {
  const { id } = await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['nothing.here'] });
  const missing = { status: 404, code: 'not_found' };
  expectProblem(await verify(await tenant(), id), missing);
  await posthorn.api.ok('DELETE', `/webhooks/${id}`);
  expectProblem(await verify(posthorn.api, id), missing);
});

test.each([{}, { endpoint_verification: 'on' }, { endpoint_verification: null }, { other: 1 }])(
  'settings are not changed by %j',
  async (body) => {
    expectProblem(await posthorn.api.call('PATCH', '/settings', body), { status: 422, code: 'validation_failed' });
    expect(await posthorn.api.ok('GET', '/settings')).toMatchObject({ endpoint_verification: 'off' });
  },
);

test('Temporal hears neither of the URL nor of the challenge', async () => {
  const receiver = await endpoint(json);
  const { id } = await posthorn.api.createWebhook(
    { url: '' },
    { url: `${receiver.url}/planted?t=planted`, events: ['a.b'] },
  );
  await verify(posthorn.api, id);
  const { client, close } = await connectTemporal();
  try {
    const history = await client.workflow.getHandle(`${id}-verify-2`).fetchHistory();
    const text = readable(history);
    // What is looked through is readable.
    expect(text).toContain(String.raw`\"round\":2`);
    expect(text).not.toContain('planted');
    expect(text).not.toContain(challengeOf(receiver.requests[0]!));
  } finally {
    await close();
  }
});

/** Another webhook's delivery was made in the meantime: the relay has had its turn. */
async function passing(api: TestApi): Promise<void> {
  const receiver = await endpoint((r) => (r.headers['x-webhook-event'] ? { status: 204 } : json(r)));
  const { id } = await api.createWebhook(receiver, { events: ['passing.by'] });
  await settled(api, id);
  await api.untilStatus(await api.onlyDelivery((await api.publish('passing.by')).id), 'delivered');
}
