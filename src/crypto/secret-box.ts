import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/**
 * Webhook secrets at rest: AES-256-GCM, `<key id>.<base64url of nonce, tag and ciphertext>`. Tenant and webhook are
 * authenticated with it, so that a row copied to another webhook does not open (NIST SP 800-38D).
 */
export type SecretBox = {
  /** The id of the key that seals. */
  readonly keyId: string;
  seal(secret: string, owner: SecretOwner): string;
  open(sealed: string, owner: SecretOwner): string;
};

export type SecretOwner = { tenantId: string; webhookId: string };

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

/**
 * @param keys pairs of key id and 32 bytes; the first one seals, all of them open
 * @throws if there is no key or one has another length
 */
export function createSecretBox(keys: ReadonlyMap<string, Buffer>): SecretBox {
  const current = keys.entries().next().value;
  if (!current) throw new Error('no encryption key');
  for (const key of keys.values())
    if (key.length !== KEY_BYTES) throw new Error('an encryption key must have 32 bytes');
  return {
    keyId: current[0],
    seal(secret, owner) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, current[1], nonce).setAAD(ownerBytes(owner));
      const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return `${current[0]}.${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')}`;
    },
    open(sealed, owner) {
      const dot = sealed.indexOf('.');
      const key = keys.get(sealed.slice(0, dot));
      if (!key) throw new Error('a webhook secret was sealed with an encryption key that is not configured');
      const bytes = Buffer.from(sealed.slice(dot + 1), 'base64url');
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(ownerBytes(owner))
        .setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    },
  };
}

/**
 * Reads `id:base64,id:base64`, as the setting POSTHORN_ENCRYPTION_KEYS holds it.
 * @throws if it is anything else, or an id stands twice; the message never repeats it
 */
export function parseEncryptionKeys(text: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>();
  for (const pair of text.split(',')) {
    const [id = '', base64 = '', ...more] = pair.trim().split(':');
    const key = Buffer.from(base64, 'base64');
    if (!/^[a-z0-9]{1,16}$/.test(id) || key.length !== KEY_BYTES || more.length > 0 || keys.has(id)) {
      throw new Error('each key must be <id>:<32 bytes in base64>, each id once and of 1-16 letters and digits');
    }
    keys.set(id, key);
  }
  return keys;
}

function ownerBytes({ tenantId, webhookId }: SecretOwner): Buffer {
  return Buffer.from(`${tenantId}/${webhookId}`);
}
