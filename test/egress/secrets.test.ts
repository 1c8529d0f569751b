import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { secretBits } from '../../src/domain/secret-strength';
import { generateSecret, secretProblem, secretWeakness, toSigningSecret } from '../../src/egress/secrets';
import { signStandard, signXWebhook } from '../../src/egress/signatures';

const secretOf = (key: Uint8Array) => `whsec_${Buffer.from(key).toString('base64')}`;
const counting = (length: number) => Buffer.from(Array.from({ length }, (_, i) => i));

test('a generated secret holds 32 bytes, is never the same twice, and may always sign', () => {
  expect(toSigningSecret(generateSecret()).standard).toHaveLength(32);
  expect(generateSecret()).not.toBe(generateSecret());
  fc.assert(
    fc.property(fc.integer(), () => {
      const secret = generateSecret();
      return secretProblem(secret) === undefined && secretWeakness(secret) === undefined;
    }),
    { numRuns: 500 },
  );
});

describe('a secret as receivers have it already is accepted:', () => {
  test.each([
    ['hex', randomBytes(32).toString('hex')],
    ['hex of 16 bytes', randomBytes(16).toString('hex')],
    ['hex in capitals', randomBytes(20).toString('hex').toUpperCase()],
    ['base64', randomBytes(32).toString('base64')],
    ['base64 without padding', randomBytes(32).toString('base64').replace('=', '')],
    ['url-safe base64', randomBytes(32).toString('base64url')],
    ['Stripe’s', 'whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH'],
    ['Shopify’s', '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'],
    ['Slack’s, from its documentation of signing', '8f742231b10e8888abcd99yyyzzz85a5'],
    ['a uuid', '5f0c2c2e-8f5d-4a0e-9c27-3a0f0d6f1b7e'],
    ['a generated password', 'k$8Lw!q2@Zr7vN{x'],
    ['one with spaces and umlauts', 'zwölf Boxkämpfer jagen 12 Wölfe quer über den Deich'],
    ['256 characters', randomBytes(128).toString('hex')],
    ['16 characters of base64', 'q7Rk2Vx9Tb4MzW8c'],
    ['whsec_ and hex', `whsec_${randomBytes(32).toString('hex')}`],
    ['whsec_ and url-safe base64 without padding', `whsec_${randomBytes(32).toString('base64url')}`],
  ])('%s', (_, secret) => {
    expect(secretProblem(secret)).toBeUndefined();
    expect(secretWeakness(secret)).toBeUndefined();
  });

  test.each([
    ['32 hex digits', 16, 'hex'],
    ['22 characters of base64url', 16, 'base64url'],
    ['44 characters of base64', 32, 'base64'],
  ] as const)('whatever %s are drawn', (_, bytes, encoding) => {
    const drawn = fc.uint8Array({ minLength: bytes, maxLength: bytes, max: 255 });
    // What fast-check draws first is small and repeats: hash it, so that it is spread as random bytes are.
    fc.assert(
      fc.property(drawn, (seed) => {
        const random = createHmac('sha256', 'spread').update(seed).digest().subarray(0, bytes);
        return secretWeakness(random.toString(encoding)) === undefined;
      }),
      { seed: 1, numRuns: 1_000 },
    );
  });
});

describe('a weak secret is refused with what is wrong and how to make one:', () => {
  test.each([
    ['the documents’ abbreviation', 'whsec_abc123...', /15 characters/],
    ['the documents’ placeholder', 'user-generated-secret', /example/],
    ['Standard Webhooks’ example', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', /example/],
    ['GitHub’s example', "It's a Secret to Everybody", /example/],
    ['words', 'my-super-secret-key-2024', /about \d+ bits/],
    ['a password with words', 'MySecretPassword123!', /about \d+ bits/],
    ['words in other letters', 's3cr3t-w3bh00k-k3y', /about \d+ bits/],
    ['words of another script', 'секретный-ключ-номер-один', /about \d+ bits/],
    ['four words together', 'correcthorsebatterystaple', /about \d+ bits/],
    ['what counts', '0123456789abcdef', /about \d+ bits/],
    ['a row of the keyboard', 'qwertyuiopasdfgh', /about \d+ bits/],
    ['whsec_ and a word', 'whsec_development-signing', /14 bytes/],
    ['whsec_ and seven bytes', 'whsec_cGxhbnRlZA==', /7 bytes/],
    ['one character', 'a'.repeat(40), /repeated/],
    ['a word over and over', 'letmein-letmein-letmein-', /repeated/],
    ['twelve characters', 'k$8Lw!q2@Zr7', /12 characters/],
    ['zero bytes', secretOf(Buffer.alloc(32)), /1 different/],
    ['eleven byte values', secretOf(Buffer.from(Array.from({ length: 64 }, (_, i) => (i * i) % 11))), /different/],
    ['twelve bytes twice', secretOf(Buffer.concat([counting(12), counting(12)])), /repeated/],
  ])('%s', (_, secret, rule) => {
    expect(secretProblem(secret)).toBeUndefined();
    expect(secretWeakness(secret)).toMatch(rule);
    expect(secretWeakness(secret)).toMatch(/^is too weak: .*openssl rand -hex 32/);
    expect(secretWeakness(secret)).not.toContain(secret);
  });

  test('but bytes whose values are few enough by chance are not', () => {
    expect(secretWeakness(secretOf(Buffer.concat([counting(12), counting(12).reverse()])))).toBeUndefined();
    expect(secretWeakness(secretOf(Buffer.concat([counting(13), counting(11)])))).toBeUndefined();
  });

  test('whatever is a sequence twice or more', () => {
    const unit = fc.string({ unit: 'grapheme-ascii', minLength: 4, maxLength: 20 });
    fc.assert(fc.property(unit, (text) => secretWeakness(text.repeat(4)) !== undefined));
  });
});

test.each([
  ['a line break at its end', 'q7Rk2Vx9Tb4MzW8c\n', /printable/],
  ['a tab', 'q7Rk2Vx9\tTb4MzW8c', /printable/],
  ['a NUL', 'q7Rk2Vx9\0Tb4MzW8c', /printable/],
  ['half of a surrogate pair', 'q7Rk2Vx9\ud83eTb4MzW8c', /printable/],
  ['a line separator', 'q7Rk2Vx9\u2028Tb4MzW8c', /printable/],
  ['nothing', '', /printable/],
  ['a space at its end', 'q7Rk2Vx9Tb4MzW8c ', /white space/],
  ['257 characters', 'q7Rk2Vx9Tb4MzW8c'.repeat(17).slice(0, 257), /at most 256/],
])('a secret with %s is none, and the message does not hold it', (_, secret, rule) => {
  expect(secretProblem(secret)).toMatch(rule);
  expect(secretProblem(secret)).not.toContain('q7Rk2Vx9');
});

test('the estimate counts no more for a pattern that is longer', () => {
  expect(secretBits('abcdefgh')).toBe(secretBits('abcdefghijkl'));
  expect(secretBits('ab12xyab12xyab12xy')).toBe(secretBits('ab12xyab12xy'));
  expect(secretBits('f09ac31e57d28b64')).toBe(64);
});

describe('the key that a style derives', () => {
  const body = Buffer.from('{"name":"Zoë"}');
  const time = Math.floor(Date.now() / 1000);
  const key = randomBytes(31);
  const standard = (secret: string) =>
    signStandard({ secrets: [toSigningSecret(secret)], id: 'evt_1', timestampSeconds: time, body });
  const expected = (raw: string | Buffer) =>
    `v1,${createHmac('sha256', raw).update(`evt_1.${time}.`).update(body).digest('base64')}`;

  test.each([
    ['base64', `whsec_${key.toString('base64')}`],
    ['base64 without padding', `whsec_${key.toString('base64').replaceAll('=', '')}`],
    ['url-safe base64', `whsec_${key.toString('base64url')}`],
  ])('is for Standard Webhooks the bytes of whsec_ and %s', (_, secret) => {
    expect(standard(secret)).toBe(expected(key));
    // As a receiver in Node decodes it.
    expect(Buffer.from(secret.slice('whsec_'.length), 'base64')).toEqual(key);
  });

  test('is what the standardwebhooks library takes, from 16 bytes on', () => {
    for (const length of [16, 24, 33, 64, 96]) {
      const secret = secretOf(randomBytes(length));
      const headers = {
        'webhook-id': 'evt_1',
        'webhook-timestamp': String(time),
        'webhook-signature': standard(secret),
      };
      expect(new Webhook(secret).verify(body, headers)).toEqual({ name: 'Zoë' });
    }
  });

  test.each([
    '5f0c2c2e-8f5d-4a0e-9c27-3a0f0d6f1b7e',
    'a'.repeat(64),
    'пароль, лёгкий',
    'whsec_a.b.c',
    'whsec_a',
    'whsec_',
  ])('is for Standard Webhooks the whole of %j', (secret) => {
    expect(standard(secret)).toBe(expected(secret));
    // The library with its format "raw" does the same.
    const headers = { 'webhook-id': 'evt_1', 'webhook-timestamp': String(time), 'webhook-signature': standard(secret) };
    expect(() => new Webhook(Buffer.from(secret), { format: 'raw' }).verify(body, headers)).not.toThrow();
  });

  test.each(['whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH', 'пароль, лёгкий', randomBytes(16).toString('hex')])(
    'is for the others the whole of %j',
    (secret) => {
      const digest = createHmac('sha256', Buffer.from(secret, 'utf8')).update(body).digest('hex');
      expect(signXWebhook(toSigningSecret(secret), body)).toBe(`sha256=${digest}`);
    },
  );
});
