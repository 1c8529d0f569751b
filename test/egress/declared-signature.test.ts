import { createHmac, randomBytes } from 'node:crypto';
import { Webhooks } from '@octokit/webhooks';
import { Webhook } from 'standardwebhooks';
import { signature } from '../../src/api/schemas/signature';
import type { DeclaredSignature } from '../../src/domain/declared-signature';
import { compileSignature, type SignedFacts } from '../../src/egress/compiled-signature';
import { buildHeaders, JSON_BODY, redactHeaders, shownNames, withoutSet } from '../../src/egress/headers';
import { generateSecret, toSigningSecrets } from '../../src/egress/secrets';

/** As a request names it, complete. */
const declare = (given: object): DeclaredSignature => signature.parse(given);

const EVENT_AT = Date.UTC(2026, 10, 23, 16, 39, 37, 631);
const NOW = EVENT_AT + 90_061;
const secretsOf = (...secrets: string[]) =>
  toSigningSecrets(secrets.map((secret, i) => ({ secret, switched: i === secrets.length - 1 })));
const facts = (more: Partial<SignedFacts> = {}): SignedFacts => ({
  eventId: 'evt_01',
  eventUuid: `${EVENT_AT.toString(16).padStart(12, '0').replace(/^.{8}/, '$&-')}-7000-8000-000000000002`,
  deliveryId: 'del_01',
  deliveryUuid: '01900000-0000-7000-8000-000000000001',
  webhookId: 'wh_01',
  eventType: 'order.created',
  attemptNumber: 3,
  timestampMs: NOW,
  body: Buffer.from('{"name":"Zoë"}'),
  secrets: secretsOf('s3cr3t of the receiver'),
  ...more,
});
/** The headers that a declaration sets, by lower-case name. */
function headersOf(given: object, more: Partial<SignedFacts> = {}): Record<string, string> {
  const headers: Record<string, string> = {};
  compileSignature(declare(given)).addTo(headers, facts(more));
  return headers;
}
const hmac = (algorithm: string, secret: string | Buffer, ...parts: (string | Buffer)[]) =>
  parts.reduce((made, part) => made.update(part), createHmac(algorithm, secret));

describe('presets', () => {
  test('slack: the example of its documentation', () => {
    const body =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&' +
      'channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=' +
      'https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&' +
      'trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
    const given = { body: Buffer.from(body), timestampMs: 1531420618_999 };
    expect(
      headersOf({ preset: 'slack' }, { ...given, secrets: secretsOf('8f742231b10e8888abcd99yyyzzz85a5') }),
    ).toEqual({
      'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
      'X-Slack-Request-Timestamp': '1531420618',
    });
  });

  test('github: what its own library verifies, and the same as the style', async () => {
    const headers = headersOf({ preset: 'github' });
    const { body } = facts();
    const verifyGitHub = (secret: string, text: string, given: string) => new Webhooks({ secret }).verify(text, given);
    expect(await verifyGitHub('s3cr3t of the receiver', body.toString(), headers['X-Hub-Signature-256']!)).toBe(true);
    expect(await verifyGitHub('another', body.toString(), headers['X-Hub-Signature-256']!)).toBe(false);
    const style = buildHeaders({
      ...facts(),
      bodyHeaders: JSON_BODY,
      timestampSeconds: 1,
      retryable: true,
      styles: ['github'],
      custom: {},
    });
    expect(style).toMatchObject(headers);
    expect(Object.keys(headers)).toHaveLength(4);
  });

  test('stripe: its published signature, and the same as the style in a rotation', () => {
    const one = { timestampMs: 1700000000_000, body: Buffer.from('{"id":"evt_test_webhook","object":"event"}') };
    const signed = 'v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990';
    expect(headersOf({ preset: 'stripe' }, { ...one, secrets: secretsOf('whsec_test_secret') })).toEqual({
      'Stripe-Signature': `t=1700000000,${signed}`,
    });
    const rotating = facts({ ...one, secrets: secretsOf('whsec_test_secret', 'whsec_old') });
    const styled = { ...rotating, bodyHeaders: JSON_BODY, timestampSeconds: 1700000000, retryable: true, custom: {} };
    expect(headersOf({ preset: 'stripe' }, rotating)).toEqual({
      'Stripe-Signature': buildHeaders({ ...styled, styles: ['stripe'] })['Stripe-Signature'],
    });
  });

  test.each([0, 1])('svix: what its library verifies, with secret %i of two', (index) => {
    const secrets = [generateSecret(), generateSecret()];
    const headers = headersOf({ preset: 'svix' }, { secrets: secretsOf(...secrets), timestampMs: Date.now() });
    // Svix' libraries are the standardwebhooks library with other names of headers.
    const renamed = Object.fromEntries(
      Object.entries(headers).map(([name, v]) => [name.replace('svix', 'webhook'), v]),
    );
    expect(new Webhook(secrets[index]!).verify(facts().body, renamed)).toEqual({ name: 'Zoë' });
    expect(headers['svix-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
  });

  test('shopify and x-signature', () => {
    expect(headersOf({ preset: 'shopify' })).toEqual({
      'X-Shopify-Hmac-Sha256': hmac('sha256', 's3cr3t of the receiver', facts().body).digest('base64'),
      'X-Shopify-Triggered-At': '2026-11-23T16:39:37.631Z',
      'X-Shopify-Topic': 'order.created',
      'X-Shopify-Event-Id': 'evt_01',
      'X-Shopify-Webhook-Id': 'del_01',
    });
    expect(headersOf({ preset: 'x-signature' })).toEqual({
      'X-Signature': hmac('sha256', 's3cr3t of the receiver', facts().body).digest('hex'),
    });
  });
});

describe('a declared signature', () => {
  const unix = String(Math.floor(NOW / 1000));
  test.each<[string, object, string, (string | Buffer)[], 'sha256' | 'sha512' | 'sha1', 'hex' | 'base64']>([
    [
      'of the body, in sha1, as GitHub once did',
      { algorithm: 'sha1', prefix: 'sha1=' },
      'sha1=',
      [facts().body],
      'sha1',
      'hex',
    ],
    ['in sha512 and base64', { algorithm: 'sha512', encoding: 'base64' }, '', [facts().body], 'sha512', 'base64'],
    [
      'of time and body',
      { signed: '{timestamp}.{body}', prefix: 'v1=' },
      'v1=',
      [`${unix}.`, facts().body],
      'sha256',
      'hex',
    ],
    [
      'of body and time, without a separator',
      { signed: '{body}{timestamp}' },
      '',
      [facts().body, unix],
      'sha256',
      'hex',
    ],
    ['of lines', { signed: '{id}\n{timestamp}\n{body}' }, '', [`evt_01\n${unix}\n`, facts().body], 'sha256', 'hex'],
    [
      'with the time before it',
      { prefix: 'ts={timestamp};h1=', signed: '{timestamp}:{body}' },
      `ts=${unix};h1=`,
      [`${unix}:`, facts().body],
      'sha256',
      'hex',
    ],
    [
      'in milliseconds',
      { signed: '{timestamp}|{body}', timestamp: { header: 'X-Time', format: 'milliseconds' } },
      '',
      [`${NOW}|`, facts().body],
      'sha256',
      'hex',
    ],
    [
      'of the event’s time',
      { signed: '{timestamp}{body}', timestamp: { header: 'X-Time', format: 'iso', of: 'event' } },
      '',
      ['2026-11-23T16:39:37.631Z', facts().body],
      'sha256',
      'hex',
    ],
    ['with a scheme before it', { prefix: 'HMAC-SHA256 ' }, 'HMAC-SHA256 ', [facts().body], 'sha256', 'hex'],
  ])('%s', (_, given, before, parts, algorithm, encoding) => {
    const headers = headersOf({ header: 'X-Acme-Signature', ...given });
    const expected = before + hmac(algorithm, 's3cr3t of the receiver', ...parts).digest(encoding);
    expect(headers['X-Acme-Signature']).toBe(expected);
    const text = compileSignature(declare({ header: 'X-Acme-Signature', ...given })).signedText(facts());
    expect(text).toEqual(Buffer.concat(parts.map((part) => Buffer.from(part))));
  });

  test.each([
    [{ format: 'unix' }, unix],
    [{ format: 'milliseconds' }, String(NOW)],
    [{ format: 'iso' }, new Date(NOW).toISOString()],
    [{ format: 'unix', of: 'event' }, String(Math.floor(EVENT_AT / 1000))],
    [{ format: 'milliseconds', of: 'event' }, String(EVENT_AT)],
  ])('sends its time as %j', (timestamp, expected) => {
    const headers = headersOf({ header: 'X-S', timestamp: { header: 'X-Time', ...timestamp } });
    expect(headers['X-Time']).toBe(expected);
  });

  test('names what goes with it, with ids of either kind', () => {
    const names = { id: 'X-Id', event_type: 'X-Type', attempt: 'X-Try', delivery: 'X-Delivery', webhook: 'X-Hook' };
    const others = { 'X-Type': 'order.created', 'X-Try': '3', 'X-Hook': 'wh_01' };
    expect(headersOf({ header: 'X-S', names })).toMatchObject({ ...others, 'X-Id': 'evt_01', 'X-Delivery': 'del_01' });
    const uuids = { 'X-Id': facts().eventUuid, 'X-Delivery': facts().deliveryUuid };
    expect(headersOf({ header: 'X-S', names, ids: 'uuid' })).toMatchObject({ ...others, ...uuids });
  });

  test('of one signature goes by the old secret in a rotation, and of several by all', () => {
    const secrets = secretsOf('the new one', 'the old one');
    const digest = (secret: string) => hmac('sha256', secret, facts().body).digest('hex');
    expect(headersOf({ header: 'X-S' }, { secrets })['X-S']).toBe(digest('the old one'));
    expect(headersOf({ header: 'X-S', prefix: 'a=', join: ', a=' }, { secrets })['X-S']).toBe(
      `a=${digest('the new one')}, a=${digest('the old one')}`,
    );
  });

  test('derives the key of Standard Webhooks if asked', () => {
    const key = randomBytes(32);
    const secrets = secretsOf(`whsec_${key.toString('base64')}`);
    expect(headersOf({ header: 'X-S', key: 'standard' }, { secrets })['X-S']).toBe(
      hmac('sha256', key, facts().body).digest('hex'),
    );
  });

  test('takes the place of Posthorn’s header of that name, in any spelling, and of an own one', () => {
    const compiled = compileSignature(
      declare({
        header: 'x-webhook-signature',
        timestamp: { header: 'X-Webhook-Timestamp', format: 'milliseconds' },
        names: { delivery: 'X_WEBHOOK_ID' },
      }),
    );
    const styles = ['x-webhook'] as const;
    const custom = withoutSet({ 'X-Other': 'kept', 'X_Webhook-Signature': 'dropped' }, styles, compiled);
    const headers = buildHeaders({
      ...facts(),
      bodyHeaders: JSON_BODY,
      timestampSeconds: 1,
      retryable: true,
      styles,
      signature: compiled,
      custom,
    });
    const mine = Object.entries(headers).filter(([name]) => /webhook.(signature|timestamp|id)$/i.test(name));
    expect(Object.fromEntries(mine)).toEqual({
      'webhook-id': 'evt_01',
      'webhook-timestamp': '1',
      'webhook-signature': expect.any(String),
      'x-webhook-signature': hmac('sha256', 's3cr3t of the receiver', facts().body).digest('hex'),
      'X-Webhook-Timestamp': String(NOW),
      X_WEBHOOK_ID: 'del_01',
    });
    expect(headers['X-Other']).toBe('kept');
  });

  test('is not shown in the log, but what goes with it is', () => {
    const compiled = compileSignature(declare({ preset: 'slack', names: { id: 'X-Id' } }));
    const headers: Record<string, string> = { Own: 'own' };
    compiled.addTo(headers, facts());
    expect(redactHeaders(headers, shownNames(['standard'], compiled))).toEqual({
      Own: '[redacted]',
      'X-Slack-Signature': '[redacted]',
      'X-Slack-Request-Timestamp': unix,
      'X-Id': 'evt_01',
    });
    // Not even under the name of something that is shown.
    const sly = compileSignature(declare({ header: 'X-GitHub-Event' }));
    expect(shownNames(['github'], sly).has('X-GitHub-Event')).toBe(false);
  });
});

describe('a declaration', () => {
  test('comes out complete, and is the same when it is given again', () => {
    for (const given of [
      { preset: 'svix' },
      { header: 'X-S' },
      { preset: 'slack', header: 'X-Mine', names: { id: 'X-Id' } },
    ]) {
      const complete = declare(given);
      expect(declare(complete)).toEqual(complete);
    }
    expect(declare({ preset: 'slack', header: 'X-Mine' })).toMatchObject({
      preset: 'slack',
      header: 'X-Mine',
      prefix: 'v0=',
      timestamp: { header: 'X-Slack-Request-Timestamp', format: 'unix', of: 'attempt' },
    });
  });

  test.each<[string, object, string, RegExp]>([
    ['no header', {}, 'header', /must be given, if no preset/],
    ['a header that is no token', { header: 'X Signature' }, 'header', /HTTP token/],
    ['a header of two lines', { header: 'X-S\r\nHost' }, 'header', /HTTP token/],
    ['the connection’s header', { header: 'Content-Length' }, 'header', /set by Posthorn/],
    ['Standard Webhooks’ header', { header: 'webhook-signature' }, 'header', /set by Posthorn/],
    ['a header that is shown in the log', { header: 'X-Webhook-ID' }, 'header', /shown in the log/],
    ['a long header', { header: 'x'.repeat(129) }, 'header', /longer than 128/],
    ['one name twice', { header: 'X-S', names: { id: 'x_s' } }, 'names.id', /named twice/],
    ['a reserved name for a fact', { header: 'X-S', names: { attempt: 'Host' } }, 'names.attempt', /set by Posthorn/],
    [
      'a reserved name for the time',
      { header: 'X-S', timestamp: { header: 'webhook-timestamp' } },
      'timestamp.header',
      /set by/,
    ],
    ['a line break in the prefix', { header: 'X-S', prefix: 'v0\r\nX-Evil: ' }, 'prefix', /printable ASCII/],
    ['a space before the prefix', { header: 'X-S', prefix: ' v0=' }, 'prefix', /begin with a space/],
    ['the body in the prefix', { header: 'X-S', prefix: '{body}' }, 'prefix', /\{timestamp\}, and no other/],
    ['a line break between signatures', { header: 'X-S', join: '\n' }, 'join', /printable ASCII/],
    ['a template without the body', { header: 'X-S', signed: '{id}.{timestamp}' }, 'signed', /\{body\} once/],
    ['the body twice', { header: 'X-S', signed: '{body}{body}' }, 'signed', /\{body\} once/],
    ['an unknown placeholder', { header: 'X-S', signed: '{secret}{body}' }, 'signed', /no other braces/],
    ['a placeholder in capitals', { header: 'X-S', signed: '{Body}' }, 'signed', /no other braces/],
    ['a brace that is not closed', { header: 'X-S', signed: '{body}{' }, 'signed', /no other braces/],
    ['braces in braces', { header: 'X-S', signed: '{{body}}' }, 'signed', /no other braces/],
    ['a NUL in the template', { header: 'X-S', signed: '\0{body}' }, 'signed', /printable ASCII/],
    [
      'a time that is signed and not sent',
      { header: 'X-S', signed: '{timestamp}{body}', timestamp: { format: 'iso' } },
      'timestamp.header',
      /in no other header/,
    ],
    ['an unknown algorithm', { header: 'X-S', algorithm: 'md5' }, 'algorithm', /sha256/],
    ['an unknown preset', { preset: 'paypal' }, 'preset', /slack/],
    ['an unknown member', { header: 'X-S', suffix: 'x' }, '', /suffix/],
    ['a long template', { header: 'X-S', signed: `{body}${'x'.repeat(251)}` }, 'signed', /256/],
    ['a long prefix', { header: 'X-S', prefix: 'x'.repeat(65) }, 'prefix', /64/],
  ])('is refused with %s', (_, given, path, rule) => {
    const result = signature.safeParse(given);
    const issues = result.success ? [] : result.error.issues.map((issue) => [issue.path.join('.'), issue.message]);
    expect(issues).toContainEqual([path, expect.stringMatching(rule)]);
  });
});
