import { randomBytes } from 'node:crypto';
import { createSecretBox, parseEncryptionKeys } from '../../src/crypto/secret-box';
import { newUuid } from '../../src/domain/ids';

const owner = { tenantId: newUuid(), webhookId: newUuid() };
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const old = randomBytes(32);
const current = randomBytes(32);
const keyring = new Map([
  ['k2', current],
  ['k1', old],
]);
const box = createSecretBox(keyring);

test('what is sealed opens again, and does not show', () => {
  const sealed = box.seal(secret, owner);
  expect(box.open(sealed, owner)).toBe(secret);
  expect(sealed).not.toContain('whsec');
  expect(sealed).not.toBe(box.seal(secret, owner));
});

test('the first key seals; older ones still open; one that was taken away does not', () => {
  const sealedBefore = createSecretBox(new Map([['k1', old]])).seal(secret, owner);
  expect(box.open(sealedBefore, owner)).toBe(secret);
  const sealed = box.seal(secret, owner);
  expect(sealed.startsWith('k2.')).toBe(true);
  const without = createSecretBox(new Map([['k1', old]]));
  expect(() => without.open(sealed, owner)).toThrow('an encryption key that is not configured');
});

test.each([
  ['another webhook', { ...owner, webhookId: newUuid() }],
  ['another tenant', { ...owner, tenantId: newUuid() }],
])('a secret that was copied to %s does not open', (_what, other) => {
  const sealed = box.seal(secret, owner);
  expect(() => box.open(sealed, other)).toThrow();
});

test('a secret in which any byte was changed does not open', () => {
  const [id, body] = box.seal(secret, owner).split('.') as [string, string];
  const bytes = Buffer.from(body, 'base64url');
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes);
    changed[i]! ^= 1;
    expect(() => box.open(`${id}.${changed.toString('base64url')}`, owner)).toThrow();
  }
});

test.each(['', 'k2', 'k2.', 'k2.AAAA', '.', 'k2.!!!!'])('%j does not open', (sealed) => {
  expect(() => box.open(sealed, owner)).toThrow();
});

test('a box without keys, or with a key of another length, is not made', () => {
  expect(() => createSecretBox(new Map())).toThrow('no encryption key');
  expect(() => createSecretBox(new Map([['k1', randomBytes(16)]]))).toThrow('32 bytes');
});

test('the setting’s first key seals', () => {
  const keys = parseEncryptionKeys(`k2:${current.toString('base64')}, k1:${old.toString('base64')}`);
  expect([...keys]).toEqual([...keyring]);
});

test.each([
  ['nothing', ''],
  ['no id', `:${current.toString('base64')}`],
  ['no key', 'k1'],
  ['a short key', `k1:${randomBytes(31).toString('base64')}`],
  ['an id with a dot', `k.1:${current.toString('base64')}`],
  ['a comma at the end', `k1:${current.toString('base64')},`],
  ['one id twice', `k1:${current.toString('base64')},k1:${old.toString('base64')}`],
  ['more after the key', `k1:${current.toString('base64')}:x`],
])('%s is no keyring, and the error does not repeat it', (_what, text) => {
  const read = () => parseEncryptionKeys(text);
  expect(read).toThrow(/^each key must be/);
  expect(read).not.toThrow(current.toString('base64'));
});
