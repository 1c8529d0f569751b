import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import {
  decodeSecret,
  generateSecret,
  secretProblem,
  signGitHub,
  signStandard,
  signStripe,
  signXWebhook,
} from '../../src/egress/signatures';

const bytes = (count: number) => `whsec_${Buffer.alloc(count, 7).toString('base64')}`;

describe('published vectors', () => {
  test('Standard Webhooks', () => {
    const signature = signStandard({
      secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampSeconds: 1614265330,
      body: Buffer.from('{"test": 2432232314}'),
    });
    expect(signature).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  test('GitHub, and X-Webhook which signs the same bytes', () => {
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    expect(signGitHub("It's a Secret to Everybody", Buffer.from('Hello, World!'))).toBe(signature);
    expect(signXWebhook("It's a Secret to Everybody", Buffer.from('Hello, World!'))).toBe(signature);
  });

  test('Stripe', () => {
    const input = { timestampSeconds: 1700000000, body: Buffer.from('{"id":"evt_test_webhook","object":"event"}') };
    const one = 'v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990';
    expect(signStripe({ ...input, secrets: ['whsec_test_secret'] })).toBe(`t=1700000000,${one}`);
    const rotating = signStripe({ ...input, secrets: ['whsec_test_secret', 'whsec_old'] });
    expect(rotating).toMatch(new RegExp(`^t=1700000000,${one},v1=[0-9a-f]{64}$`));
  });
});

describe('during a rotation', () => {
  test.each([0, 1])('the standardwebhooks library verifies with secret %i of two', (index) => {
    const secrets = [generateSecret(), generateSecret()];
    const timestampSeconds = Math.floor(Date.now() / 1000);
    const body = Buffer.from('{"name":"Zoë 🦊"}');
    const headers = {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(timestampSeconds),
      'webhook-signature': signStandard({ secrets, id: 'evt_1', timestampSeconds, body }),
    };
    expect(new Webhook(secrets[index]!).verify(body, headers)).toEqual({ name: 'Zoë 🦊' });
    expect(() => new Webhook(generateSecret()).verify(body, headers)).toThrow('No matching signature');
    expect(() => new Webhook(secrets[index]!).verify('{}', headers)).toThrow('No matching signature');
  });
});

describe('secrets', () => {
  test('a generated one holds 32 bytes and is never the same twice', () => {
    const secret = generateSecret();
    expect(decodeSecret(secret)).toHaveLength(32);
    expect(generateSecret()).not.toBe(secret);
  });

  test.each([
    [bytes(24), true],
    [bytes(64), true],
    [bytes(23), false],
    [bytes(65), false],
    ['', false],
    ['whsec_', false],
    [bytes(32).slice('whsec_'.length), false],
    [bytes(32).replace('whsec_', 'WHSEC_'), false],
    [bytes(32).replace('=', ''), false],
    [`${bytes(32)} `, false],
    [`${bytes(32)}\n`, false],
    [bytes(32).replace('B', '-'), false],
    [`whsec_${'$'.repeat(44)}`, false],
  ])('%j is valid: %s', (secret, valid) => {
    const decode = () => decodeSecret(secret);
    if (valid) expect(decode).not.toThrow();
    else expect(decode).toThrow('24 to 64 bytes');
    if (!valid) expect(secretProblem(secret)).toMatch(/24 to 64 bytes/);
  });

  const secretOf = (key: Uint8Array) => `whsec_${Buffer.from(key).toString('base64')}`;
  const counting = (length: number) => Buffer.from(Array.from({ length }, (_, i) => i));

  test('a generated one may always sign', () => {
    fc.assert(
      fc.property(fc.integer(), () => secretProblem(generateSecret()) === undefined),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['the documented example', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', /example/],
    ['one byte', secretOf(Buffer.alloc(32, 7)), /12 different/],
    ['eleven byte values', secretOf(Buffer.from(Array.from({ length: 64 }, (_, i) => (i * i) % 11))), /12 different/],
    ['a password twice', secretOf(Buffer.from('correct-horsecorrect-horse'.repeat(1))), /12 different|repeated/],
    ['twelve bytes twice', secretOf(Buffer.concat([counting(12), counting(12)])), /repeated/],
    [
      'sixteen bytes and a part of them',
      secretOf(Buffer.concat([counting(16), counting(16), counting(5)])),
      /repeated/,
    ],
  ])('%s is refused', (_what, secret, rule) => {
    expect(secretProblem(secret)).toMatch(rule);
    // What was stored before the rule signs on.
    expect(() => decodeSecret(secret)).not.toThrow();
  });

  test.each([
    ['twelve byte values, each twice but in another order', Buffer.concat([counting(12), counting(12).reverse()])],
    ['bytes that are repeated once too late', Buffer.concat([counting(13), counting(11)])],
  ])('%s is not refused', (_what, key) => {
    expect(secretProblem(secretOf(key))).toBeUndefined();
  });

  test('whatever is a sequence twice or more is refused, and nothing else for that', () => {
    const unit = fc.uint8Array({ minLength: 12, maxLength: 32 }).filter((bytes) => new Set(bytes).size >= 12);
    fc.assert(
      fc.property(unit, fc.integer({ min: 24, max: 64 }), (bytes, length) => {
        const key = Buffer.from(Array.from({ length }, (_, i) => bytes[i % bytes.length]!));
        const problem = secretProblem(secretOf(key));
        return length >= 2 * bytes.length ? problem !== undefined : true;
      }),
    );
  });

  test('the error for a bad one does not show it', () => {
    expect.assertions(2);
    try {
      decodeSecret('whsec_hunter2');
    } catch (error) {
      expect((error as Error).message).toContain('24 to 64 bytes');
      expect((error as Error).stack).not.toContain('hunter2');
    }
  });
});
