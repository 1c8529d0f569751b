import {
  buildBareHeaders,
  buildChallengeHeaders,
  buildHeaders,
  customHeaderProblem,
  type HeadersInput,
  redactHeaders,
  shownNames,
  withoutSet,
} from '../../src/egress/headers';
import { toSigningSecret, toSigningSecrets } from '../../src/egress/secrets';
import { signStandard, signStripe, signXWebhook } from '../../src/egress/signatures';

const secrets = [1, 2].map((fill) => toSigningSecret(`whsec_${Buffer.alloc(32, fill).toString('base64')}`));
const input: HeadersInput = {
  eventId: 'evt_01',
  eventUuid: '01900000-0000-7000-8000-000000000002',
  deliveryId: 'del_01',
  deliveryUuid: '01900000-0000-7000-8000-000000000001',
  webhookId: 'wh_01',
  eventType: 'order.created',
  attemptNumber: 3,
  retryable: true,
  timestampSeconds: 1700000000,
  timestampMs: 1700000000123,
  body: Buffer.from('{}'),
  bodyHeaders: { 'content-type': 'application/json' },
  secrets: { all: secrets, single: secrets[1]! },
  styles: ['standard', 'x-webhook'],
  custom: { authorization: 'Bearer abc' },
};

describe('buildHeaders', () => {
  test('by default: Standard Webhooks and the X-Webhook set', () => {
    expect(buildHeaders(input)).toEqual({
      authorization: 'Bearer abc',
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^Posthorn\/\d+\.\d+\.\d+/),
      accept: '*/*',
      'accept-encoding': 'identity',
      'webhook-id': 'evt_01',
      'webhook-timestamp': '1700000000',
      'webhook-signature': signStandard({ ...input, secrets, id: 'evt_01' }),
      // One signature: of the secret whose time has come.
      'X-Webhook-Signature': signXWebhook(secrets[1]!, input.body),
      'X-Webhook-ID': 'evt_01',
      'X-Webhook-Timestamp': '1700000000',
      'X-Webhook-Event': 'order.created',
      'X-Webhook-Attempt': '3',
      'X-Webhook-Delivery': 'del_01',
      'X-Webhook-Retryable': 'true',
    });
  });

  test('says what the body is, and an own header of the same name gives way', () => {
    const bodyHeaders = { 'content-type': 'application/json', 'ce-id': 'evt_01', 'ce-type': 'order.created' };
    const custom = { 'CE-Id': 'mine', 'ce-tenant': 'acme' };
    const headers = buildHeaders({ ...input, bodyHeaders, custom });
    expect(headers).toMatchObject({ ...bodyHeaders, 'ce-tenant': 'acme' });
    expect(headers).not.toHaveProperty('CE-Id');
    expect(redactHeaders(headers, shownNames(['standard']))).toMatchObject({
      ...bodyHeaders,
      'ce-tenant': '[redacted]',
    });
    // Of any other body they are an own header like any other.
    expect(buildHeaders({ ...input, custom })).toMatchObject(custom);
  });

  test('signs the standard way whatever the styles, and the others only when asked', () => {
    const plain = buildHeaders({ ...input, styles: [], retryable: false });
    expect(plain).toMatchObject({ 'webhook-signature': expect.any(String), 'X-Webhook-Retryable': 'false' });
    expect(plain).not.toHaveProperty('X-Webhook-Signature');

    const all = buildHeaders({ ...input, styles: ['github', 'stripe'] });
    expect(all['X-Hub-Signature-256']).toBe(signXWebhook(secrets[1]!, input.body));
    expect(all['Stripe-Signature']).toBe(signStripe({ ...input, secrets }));
    expect(all).not.toHaveProperty('X-Webhook-Signature');
  });

  test.each(['accept', 'Accept', 'ACCEPT'])(
    'what a webhook accepts itself, as %s, is sent alone and not shown',
    (name) => {
      const headers = buildHeaders({ ...input, custom: { [name]: 'application/json' } });
      const names = Object.keys(headers).filter((each) => each.toLowerCase() === 'accept');
      expect(names).toEqual([name]);
      expect(headers[name]).toBe('application/json');
      expect(redactHeaders(headers, shownNames(['standard']))[name]).toBe('[redacted]');
      const challenge = buildBareHeaders({ [name]: 'text/plain' });
      expect(Object.keys(challenge).filter((each) => each.toLowerCase() === 'accept')).toEqual([name]);
    },
  );

  test('a challenge says that it accepts anything', () => {
    expect(buildBareHeaders({ 'x-a': 'b' })).toMatchObject({ accept: '*/*', 'x-a': 'b' });
  });

  test('what GitHub sends beside its signature comes with the style github, and no own header of that name with it', () => {
    const own = { 'x-github-event': 'push', X_GitHub_Delivery: '1', 'X-Other': 'kept' };
    const styles = ['github'] as const;
    const headers = buildHeaders({ ...input, styles, custom: withoutSet(own, styles) });
    expect(headers).toMatchObject({
      'X-GitHub-Event': 'order.created',
      'X-GitHub-Delivery': '01900000-0000-7000-8000-000000000001',
      'X-GitHub-Hook-ID': 'wh_01',
      'X-Other': 'kept',
    });
    expect(Object.keys(headers).filter((name) => /github.(event|delivery)/i.test(name))).toHaveLength(2);
    expect(withoutSet(own, ['stripe'])).toEqual(own);
    // What a style does not set is the tenant's own, and not shown.
    expect(redactHeaders(own, shownNames(['stripe']))).toMatchObject({ 'x-github-event': '[redacted]' });
    expect(redactHeaders({ 'X-GitHub-Event': 'x' }, shownNames(['standard']))).toEqual({
      'X-GitHub-Event': '[redacted]',
    });
  });

  test('a challenge has the signatures of all styles, and none of the headers that say which delivery it is', () => {
    const attempt = buildHeaders({ ...input, styles: ['x-webhook', 'github', 'stripe'] });
    const challenge = buildChallengeHeaders({ ...input, styles: ['x-webhook', 'github', 'stripe'] });
    const missing = Object.keys(attempt).filter((name) => !(name in challenge));
    expect(missing).toEqual(['X-Webhook-Event', 'X-Webhook-Attempt', 'X-Webhook-Delivery', 'X-Webhook-Retryable']);
    expect(attempt).toMatchObject(challenge);
  });

  test('a delivery without a secret is never sent unsigned', () => {
    expect(() => toSigningSecrets([])).toThrow('at least one signing secret');
  });

  test('the log shows no custom value and no signature', () => {
    const styles = ['x-webhook', 'github', 'stripe'] as const;
    const headers = buildHeaders({ ...input, styles });
    const redacted = redactHeaders(headers, shownNames(styles));
    expect(Object.keys(redacted)).toEqual(Object.keys(headers));
    const hidden = Object.keys(redacted).filter((name) => redacted[name] === '[redacted]');
    expect(hidden.sort()).toEqual(
      ['authorization', 'webhook-signature', 'X-Webhook-Signature', 'X-Hub-Signature-256', 'Stripe-Signature'].sort(),
    );
    for (const name of Object.keys(headers).filter((name) => !hidden.includes(name))) {
      expect(redacted[name]).toBe(headers[name]);
    }
  });
});

describe('the secret of a style that carries one signature', () => {
  const given = (...switched: boolean[]) => switched.map((one, i) => ({ secret: `secret ${i}`, switched: one }));
  test.each([
    ['the only one, before its time as well', given(false), 0],
    ['the newest one whose time has come', given(true, true), 0],
    ['the one before, until the switch', given(false, true), 1],
    ['the newest whose time has come, of several rotations', given(false, false, true, true), 2],
    ['the oldest, if that of none has come', given(false, false, false), 2],
  ])('is %s', (_, secrets, index) => {
    const { all, single } = toSigningSecrets(secrets);
    expect(all.map(({ text }) => text.toString())).toEqual(secrets.map(({ secret }) => secret));
    expect(single).toBe(all[index]);
  });
});

describe('customHeaderProblem', () => {
  test.each([
    ['Authorization', 'Bearer abc'],
    ['X-Api-Key', 'k'],
    ['x-tab', 'a\tb'],
    ['x-empty', ''],
    ['x-webhooks', 'is not x-webhook-'],
    ['x-long', 'v'.repeat(4096)],
    ['ce-tenant', 'an extension attribute'],
  ])('%s may be set', (name, value) => {
    expect(customHeaderProblem(name, value)).toBeUndefined();
  });

  test.each([
    ...[
      'Host',
      'content-length',
      'CONNECTION',
      'transfer-encoding',
      'te',
      'upgrade',
      'expect',
      'trailer',
      'keep-alive',
    ],
    ...['webhook-id', 'Webhook-Signature', 'X-Webhook-Anything', 'x-hub-signature-256', 'Stripe-Signature'],
    ...['content-type', 'accept-encoding', 'user-agent', 'proxy-authorization'],
    ...['ce-id', 'Ce-Type', 'CE-SOURCE', 'ce-specversion', 'ce-time', 'ce-eventversion', 'ce-datacontenttype'],
  ])('%s is reserved', (name) => {
    expect(customHeaderProblem(name, 'v')).toBe(`the header "${name.toLowerCase()}" is set by Posthorn`);
  });

  test.each([
    ['X_Webhook_Id', 'x-webhook-id'],
    ['webhook_signature', 'webhook-signature'],
    ['WEBHOOK_timestamp', 'webhook-timestamp'],
    ['content_type', 'content-type'],
    ['Content_Length', 'content-length'],
    ['transfer_encoding', 'transfer-encoding'],
    ['X_Hub_Signature-256', 'x-hub-signature-256'],
    ['stripe_signature', 'stripe-signature'],
    ['user.agent', 'user-agent'],
    ['x.webhook~event', 'x-webhook-event'],
  ])('%s is reserved, since receivers of the CGI kind read it as %s', (name, folded) => {
    expect(customHeaderProblem(name, 'v')).toContain(`is "${folded}" to many receivers`);
  });

  test.each(['x_api_key', '_', 'webhook', 'x_webhooks', 'contenttype', 'x-content_type'])('%s may be set', (name) => {
    expect(customHeaderProblem(name, 'v')).toBeUndefined();
  });

  test.each(['', 'a b', 'a:b', 'a\r\nb', 'é', 'a\0', ' x', 'x\n', '(x)'])('the name %j is not a token', (name) => {
    expect(customHeaderProblem(name, 'v')).toContain('token');
  });

  test.each(['a\r\nhost: b', 'a\nb', 'a\rb', 'a\0b', '\x1b[0m', '\x7f', 'é', '🦊', 'a\n'])(
    'the value %j is refused',
    (value) => {
      expect(customHeaderProblem('x-a', value)).toContain('printable ASCII');
      expect(customHeaderProblem('x-a', value)).not.toContain(value);
    },
  );

  test('lengths are bounded', () => {
    expect(customHeaderProblem('x'.repeat(129), 'v')).toContain('128');
    expect(customHeaderProblem('x-a', 'v'.repeat(4097))).toContain('4096');
  });
});
