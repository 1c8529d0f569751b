import { createHmac, type Hmac, randomBytes } from 'node:crypto';

const SECRET_PREFIX = 'whsec_';
/** Standard Webhooks 1.0.0, "Signature scheme": between 24 and 64 bytes of key. */
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 64;
const GENERATED_KEY_BYTES = 32;
const STANDARD_BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A new signing secret: `whsec_` and 32 random bytes in base64. */
export function generateSecret(): string {
  return SECRET_PREFIX + randomBytes(GENERATED_KEY_BYTES).toString('base64');
}

/** The secret of Standard Webhooks' own example, which everyone knows. */
const DOCUMENTED_KEYS = ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'];
/** 24 random bytes have fewer than this less often than once in 10^20. */
const MIN_DISTINCT_BYTES = 12;

/**
 * Why a secret that someone brings along may not sign; undefined if it may. Secrets that were stored before the
 * rules sign on: see {@link decodeSecret}.
 */
export function secretProblem(secret: string): string | undefined {
  const key = keyOf(secret);
  if (!key) return `must be ${SECRET_PREFIX} and ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes in base64`;
  if (DOCUMENTED_KEYS.includes(key.toString('base64'))) return 'must not be the example of a documentation';
  if (new Set(key).size < MIN_DISTINCT_BYTES) return `must have at least ${MIN_DISTINCT_BYTES} different byte values`;
  if (isRepeated(key)) return 'must not be a sequence of bytes that is repeated';
  return undefined;
}

/** Whether the key is made of one sequence of at most half its length, over and over; the last time may be cut. */
function isRepeated(key: Buffer): boolean {
  for (let length = 1; length <= key.length / 2; length++) {
    if (key.subarray(length).equals(key.subarray(0, key.length - length))) return true;
  }
  return false;
}

/**
 * The key bytes inside a `whsec_…` secret (Standard Webhooks 1.0.0).
 * @throws Error when the secret is not one; the message never holds the secret.
 */
export function decodeSecret(secret: string): Buffer {
  const key = keyOf(secret);
  if (!key) {
    throw new Error(
      `A signing secret must be "${SECRET_PREFIX}" and the base64 of ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes`,
    );
  }
  return key;
}

function keyOf(secret: string): Buffer | undefined {
  if (!secret.startsWith(SECRET_PREFIX)) return undefined;
  const encoded = secret.slice(SECRET_PREFIX.length);
  // Buffer.from skips what is not base64; a receiver's library may not, and the two keys would differ.
  if (!STANDARD_BASE64.test(encoded)) return undefined;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= MIN_KEY_BYTES && key.length <= MAX_KEY_BYTES ? key : undefined;
}

/**
 * The `webhook-signature` header of Standard Webhooks 1.0.0: for each secret `v1,` and the base64 HMAC-SHA256 of
 * `id.timestamp.body`, separated by spaces. During a rotation the old and the new secret both sign.
 * @param input.timestampSeconds unix seconds of this attempt
 * @throws Error when a secret is not valid
 */
export function signStandard(input: { secrets: string[]; id: string; timestampSeconds: number; body: Buffer }): string {
  const prefix = `${input.id}.${input.timestampSeconds}.`;
  return input.secrets
    .map((secret) => `v1,${hmac(decodeSecret(secret), prefix, input.body).digest('base64')}`)
    .join(' ');
}

/**
 * `X-Webhook-Signature`: `sha256=` and the hex HMAC-SHA256 of the body, keyed with the whole secret string as UTF-8.
 * Weaker than {@link signStandard}: the id and the time are not signed, so a captured request can be replayed.
 */
export function signXWebhook(secret: string, body: Buffer): string {
  return `sha256=${hmac(secret, '', body).digest('hex')}`;
}

/** GitHub's `X-Hub-Signature-256` (docs.github.com, "Validating webhook deliveries"): the same bytes as X-Webhook. */
export function signGitHub(secret: string, body: Buffer): string {
  return signXWebhook(secret, body);
}

/**
 * Stripe's `Stripe-Signature` (docs.stripe.com/webhooks, "Verify manually"): `t=<unix>` and for each secret `v1=` with
 * the hex HMAC-SHA256 of `t.body`, keyed with the whole secret string as UTF-8.
 */
export function signStripe(input: { secrets: string[]; timestampSeconds: number; body: Buffer }): string {
  const prefix = `${input.timestampSeconds}.`;
  const signatures = input.secrets.map((secret) => `,v1=${hmac(secret, prefix, input.body).digest('hex')}`);
  return `t=${input.timestampSeconds}${signatures.join('')}`;
}

function hmac(key: string | Buffer, prefix: string, body: Buffer): Hmac {
  return createHmac('sha256', key).update(prefix).update(body);
}
