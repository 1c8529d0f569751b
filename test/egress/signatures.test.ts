import { Webhook } from 'standardwebhooks';
import {
  decodeSecret,
  generateSecret,
  isValidSecret,
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
    expect(isValidSecret(secret)).toBe(valid);
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
