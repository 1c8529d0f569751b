import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { expectBadField, sql } from '../api/support';
import { installationForFile } from '../support/for-tests';
import { type ReceivedRequest, startReceiver } from '../support/receiver';

/** Receivers that exist already, as their documentations write them: none can be changed, and each refuses what it does not verify. */

const installation = installationForFile();
const header = (r: ReceivedRequest, name: string) => String(r.headers[name] ?? '');
const same = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
const fresh = (seconds: number) => Math.abs(Date.now() / 1000 - seconds) < 300;
const digest = (secret: string, text: string | Buffer, algorithm = 'sha256') =>
  createHmac(algorithm, secret).update(text);

type Check = (r: ReceivedRequest, secret: string) => boolean;
const RECEIVERS: [string, object, Check][] = [
  [
    'X-Signature in hex',
    { preset: 'x-signature' },
    (r, s) => same(header(r, 'x-signature'), digest(s, r.body).digest('hex')),
  ],
  [
    'Slack',
    { preset: 'slack' },
    (r, s) => {
      const time = header(r, 'x-slack-request-timestamp');
      const expected = `v0=${digest(s, `v0:${time}:${r.body}`).digest('hex')}`;
      return fresh(Number(time)) && same(header(r, 'x-slack-signature'), expected);
    },
  ],
  [
    'Shopify',
    { preset: 'shopify' },
    (r, s) =>
      same(header(r, 'x-shopify-hmac-sha256'), digest(s, r.body).digest('base64')) &&
      header(r, 'x-shopify-topic') !== '' &&
      fresh(Date.parse(header(r, 'x-shopify-triggered-at')) / 1000),
  ],
  [
    'Svix',
    { preset: 'svix' },
    (r, s) => {
      const renamed = Object.fromEntries(
        ['id', 'timestamp', 'signature'].map((name) => [`webhook-${name}`, header(r, `svix-${name}`)]),
      );
      new Webhook(Buffer.from(s), { format: 'raw' }).verify(r.body, renamed);
      return true;
    },
  ],
  [
    'one with milliseconds, sha512 and Posthorn’s own names',
    {
      header: 'X-Webhook-Signature',
      algorithm: 'sha512',
      encoding: 'base64',
      signed: '{timestamp}.{body}',
      timestamp: { header: 'X-Webhook-Timestamp', format: 'milliseconds' },
    },
    (r, s) => {
      const time = header(r, 'x-webhook-timestamp');
      const expected = digest(s, `${time}.${r.body}`, 'sha512').digest('base64');
      return fresh(Number(time) / 1000) && same(header(r, 'x-webhook-signature'), expected);
    },
  ],
  [
    'an old one with sha1',
    { header: 'X-Hub-Signature', algorithm: 'sha1', prefix: 'sha1=' },
    (r, s) => same(header(r, 'x-hub-signature'), `sha1=${digest(s, r.body, 'sha1').digest('hex')}`),
  ],
];

/** 401 for what it does not verify; it answers a challenge that it does. */
async function startChecked(check: Check, secret: string) {
  const receiver = await startReceiver((r) => {
    let ok = false;
    try {
      ok = check(r, secret);
    } catch {
      ok = false;
    }
    if (!ok) return { status: 401 };
    const { challenge } = JSON.parse(r.body.toString()) as { challenge?: string };
    return { status: 200, body: challenge ?? '' };
  });
  return { ...receiver, url: `${receiver.url}/hook` };
}

describe.each(['workflow', 'express'])('on the path %s', (mode) => {
  test.each(RECEIVERS)('%s takes deliveries, also in a rotation, and the challenge', async (_, signature, check) => {
    const { api } = installation;
    const secret = randomBytes(20).toString('hex');
    const receiver = await startChecked(check, secret);
    try {
      const type = `declared.${randomBytes(4).toString('hex')}`;
      const settings = { url: receiver.url, events: [type], secret, signature, mode, retry_policy: { schedule: [] } };
      const { id } = await api.createWebhook({ url: '' }, settings);
      const verified = await api.call('POST', `/webhooks/${id}/verify?wait=true`);
      expect(verified.body.verification).toMatchObject({ status: 'verified', method: 'post' });

      const deliveries = [
        await api.publish(type, { name: 'Zoë 🦊', price: 1.5 }),
        await api.publish(type, { n: [1, {}] }),
      ];
      await api.ok('POST', `/webhooks/${id}/secret/rotate`, {});
      deliveries.push(await api.publish(type));
      for (const event of deliveries) await api.untilStatus(await api.onlyDelivery(event.id), 'delivered');

      // Once the old one has ended, the receiver that knows no other refuses.
      await api.ok('POST', `/webhooks/${id}/secret/rotate`, { grace: '0s' });
      const last = await api.publish(type);
      await api.untilStatus(await api.onlyDelivery(last.id), 'failed');
    } finally {
      await receiver.close();
    }
  });
});

describe('a webhook’s signature', () => {
  const url = 'http://127.0.0.1:9/hook';
  const create = (more: object) => installation.api.call('POST', '/webhooks', { url, events: ['none.here'], ...more });
  const patch = (id: string, body: object) => installation.api.call('PATCH', `/webhooks/${id}`, body);

  test('is shown complete, can be sent back, replaced and removed', async () => {
    const made = await create({ signature: { preset: 'slack' } });
    expect(made.body.signature).toMatchObject({ preset: 'slack', header: 'X-Slack-Signature', algorithm: 'sha256' });
    const { id, signature } = made.body;
    expect((await patch(id, { signature })).body.signature).toEqual(signature);
    const replaced = (await patch(id, { signature: { header: 'X-Mine' } })).body.signature;
    expect(replaced).toMatchObject({ preset: null, header: 'X-Mine', prefix: '', signed: '{body}' });
    expect((await patch(id, { description: 'x' })).body.signature).toEqual(replaced);
    expect((await patch(id, { signature: null })).body.signature).toBeNull();
    expect((await create({})).body.signature).toBeNull();
  });

  test.each<[string, object, string, RegExp]>([
    ['a line break in its header', { header: 'X-S\r\nX-Evil' }, 'signature.header', /HTTP token/],
    ['no body in what is signed', { header: 'X-S', signed: '{id}' }, 'signature.signed', /\{body\} once/],
    ['a reserved name', { header: 'X-S', names: { id: 'Transfer-Encoding' } }, 'signature.names.id', /set by Posthorn/],
    ['an unknown member', { header: 'X-S', secret: 'x' }, 'signature.secret', /is not known here/],
  ])('is refused with %s, on creation and by PATCH', async (_, signature, field, rule) => {
    expectBadField(await create({ signature }), field, rule);
    const { id } = (await create({})).body;
    expectBadField(await patch(id, { signature }), field, rule);
    expect((await installation.api.ok('GET', `/webhooks/${id}`)).signature).toBeNull();
  });

  test('shares no name with an own header, whichever comes first', async () => {
    const rule = /"x-acme-signature" is set by the webhook's signature/;
    const headers = { X_Acme_Signature: 'x' };
    const signature = { header: 'X-Acme-Signature' };
    expectBadField(await create({ headers, signature }), 'headers', rule);
    const one = (await create({ headers })).body.id;
    expectBadField(await patch(one, { signature }), 'headers', rule);
    const other = (await create({ signature })).body.id;
    expectBadField(await patch(other, { headers }), 'headers', rule);
    expect((await patch(other, { headers, signature: null })).status).toBe(200);
  });
});

describe('a sample', () => {
  const secret = '8f742231b10e8888abcd99yyyzzz85a5';
  const sample = (body: object, at = '/webhooks/sample') => installation.api.call('POST', at, body);

  test('shows what settings would send, for an example of another system', async () => {
    const body = 'token=xyzz';
    const asked = { signature: { preset: 'slack' }, secret, timestamp: '2018-07-12T18:36:58.500Z', body };
    const answer = await sample(asked);
    expect(answer).toMatchObject({ status: 200, body: { body, signed: `v0:1531420618:${body}` } });
    expect(answer.body).not.toHaveProperty('secret');
    expect(answer.body.headers).toMatchObject({
      'X-Slack-Request-Timestamp': '1531420618',
      'X-Slack-Signature': `v0=${digest(secret, `v0:1531420618:${body}`).digest('hex')}`,
      'X-Webhook-Event': 'order.created',
      'webhook-timestamp': '1531420618',
    });
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('without anything is a delivery with the defaults and a secret that verifies it', async () => {
    const { body } = await sample({});
    expect(new Webhook(body.secret).verify(body.body, body.headers)).toMatchObject({ type: 'order.created' });
    expect(body).toMatchObject({ signed: null, headers: { 'X-Webhook-Signature': expect.stringMatching(/^sha256=/) } });
  });

  test('of a webhook has its settings and secrets, shows no own header’s value, and is in the audit log', async () => {
    const { api } = installation;
    const settings = { signature: { preset: 'shopify' }, secret, headers: { 'X-Own': 'own-value' } };
    const { id } = await api.createWebhook({ url: 'http://127.0.0.1:9' }, { ...settings, events: ['none.here'] });
    const { body } = await sample({ event_type: 'a.b' }, `/webhooks/${id}/sample`);
    expect(body.headers).toMatchObject({
      'X-Shopify-Topic': 'a.b',
      'X-Shopify-Hmac-Sha256': digest(secret, body.body).digest('base64'),
      'X-Own': '[redacted]',
    });
    expect(JSON.stringify(body)).not.toMatch(/own-value|8f742231/);
    const other = await sample({ signature: { header: 'X-Try' } }, `/webhooks/${id}/sample`);
    expect(other.body.headers).toHaveProperty('X-Try');
    expect(other.body.headers).not.toHaveProperty('X-Shopify-Topic');
    expect((await api.ok('GET', `/webhooks/${id}`)).signature.preset).toBe('shopify');
    const lines = await sql(installation, `select action from audit_log where target = $1 and action like '%sample'`, [
      id,
    ]);
    expect(lines).toHaveLength(2);
  });

  test.each<[string, object, string, RegExp]>([
    ['a header of two lines', { signature: { header: 'a\nb' } }, 'signature.header', /HTTP token/],
    ['an id of two lines', { id: 'a\nb' }, 'id', /printable ASCII/],
    ['a time that is none', { timestamp: 'now' }, 'timestamp', /RFC 3339/],
    ['a secret of two lines', { secret: 'a\nb' }, 'secret', /printable/],
    ['an attempt of nothing', { attempt: 0 }, 'attempt', /from 1 to 1000/],
  ])('is refused with %s', async (_, body, field, rule) => {
    expectBadField(await sample(body), field, rule);
  });

  test('of a time before 1970 is a sample as well', async () => {
    expect((await sample({ timestamp: '1969-01-01T00:00:00Z' })).status).toBe(200);
  });
});
