import { Webhook } from 'standardwebhooks';
import { generateSecret, toSigningSecret } from '../../src/egress/secrets';
import { signGitHub, signStandard, signStripe, signXWebhook } from '../../src/egress/signatures';

describe('published vectors', () => {
  test('Standard Webhooks', () => {
    const signature = signStandard({
      secrets: [toSigningSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')],
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampSeconds: 1614265330,
      body: Buffer.from('{"test": 2432232314}'),
    });
    expect(signature).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  test('GitHub, and X-Webhook which signs the same bytes', () => {
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
    const secret = toSigningSecret("It's a Secret to Everybody");
    expect(signGitHub(secret, Buffer.from('Hello, World!'))).toBe(signature);
    expect(signXWebhook(secret, Buffer.from('Hello, World!'))).toBe(signature);
  });

  test('Stripe', () => {
    const input = { timestampSeconds: 1700000000, body: Buffer.from('{"id":"evt_test_webhook","object":"event"}') };
    const one = 'v1=d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990';
    expect(signStripe({ ...input, secrets: [toSigningSecret('whsec_test_secret')] })).toBe(`t=1700000000,${one}`);
    const rotating = signStripe({ ...input, secrets: ['whsec_test_secret', 'whsec_old'].map(toSigningSecret) });
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
      'webhook-signature': signStandard({ secrets: secrets.map(toSigningSecret), id: 'evt_1', timestampSeconds, body }),
    };
    expect(new Webhook(secrets[index]!).verify(body, headers)).toEqual({ name: 'Zoë 🦊' });
    expect(() => new Webhook(generateSecret()).verify(body, headers)).toThrow('No matching signature');
    expect(() => new Webhook(secrets[index]!).verify('{}', headers)).toThrow('No matching signature');
  });
});
