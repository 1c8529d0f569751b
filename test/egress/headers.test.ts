import {
  buildChallengeHeaders,
  buildHeaders,
  customHeaderProblem,
  type HeadersInput,
  redactHeaders,
} from '../../src/egress/headers';
import { signStandard, signStripe, signXWebhook } from '../../src/egress/signatures';

const secrets = [1, 2].map((fill) => `whsec_${Buffer.alloc(32, fill).toString('base64')}`);
const input: HeadersInput = {
  eventId: 'evt_01',
  deliveryId: 'del_01',
  eventType: 'order.created',
  attemptNumber: 3,
  retryable: true,
  timestampSeconds: 1700000000,
  body: Buffer.from('{}'),
  bodyHeaders: { 'content-type': 'application/json' },
  secrets,
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
      'webhook-signature': signStandard({ ...input, id: 'evt_01' }),
      'X-Webhook-Signature': signXWebhook(secrets[0]!, input.body),
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
    expect(redactHeaders(headers)).toMatchObject({ ...bodyHeaders, 'ce-tenant': '[redacted]' });
    // Of any other body they are an own header like any other.
    expect(buildHeaders({ ...input, custom })).toMatchObject(custom);
  });

  test('signs the standard way whatever the styles, and the others only when asked', () => {
    const plain = buildHeaders({ ...input, styles: [], retryable: false });
    expect(plain).toMatchObject({ 'webhook-signature': expect.any(String), 'X-Webhook-Retryable': 'false' });
    expect(plain).not.toHaveProperty('X-Webhook-Signature');

    const all = buildHeaders({ ...input, styles: ['github', 'stripe'] });
    expect(all['X-Hub-Signature-256']).toBe(signXWebhook(secrets[0]!, input.body));
    expect(all['Stripe-Signature']).toBe(signStripe(input));
    expect(all).not.toHaveProperty('X-Webhook-Signature');
  });

  test.each(['accept', 'Accept', 'ACCEPT'])(
    'what a webhook accepts itself, as %s, is sent alone and not shown',
    (name) => {
      const headers = buildHeaders({ ...input, custom: { [name]: 'application/json' } });
      const names = Object.keys(headers).filter((each) => each.toLowerCase() === 'accept');
      expect(names).toEqual([name]);
      expect(headers[name]).toBe('application/json');
      expect(redactHeaders(headers)[name]).toBe('[redacted]');
      const challenge = buildChallengeHeaders({ custom: { [name]: 'text/plain' } });
      expect(Object.keys(challenge).filter((each) => each.toLowerCase() === 'accept')).toEqual([name]);
    },
  );

  test('a challenge says that it accepts anything', () => {
    expect(buildChallengeHeaders({ custom: { 'x-a': 'b' } })).toMatchObject({ accept: '*/*', 'x-a': 'b' });
  });

  test('a delivery without a secret is never sent unsigned', () => {
    expect(() => buildHeaders({ ...input, secrets: [] })).toThrow('at least one signing secret');
  });

  test('the log shows no custom value and no signature', () => {
    const headers = buildHeaders({ ...input, styles: ['x-webhook', 'github', 'stripe'] });
    const redacted = redactHeaders(headers);
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
