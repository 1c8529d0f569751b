import { randomBytes } from 'node:crypto';
import { secretBits } from '../domain/secret-strength';

const SECRET_PREFIX = 'whsec_';
const GENERATED_KEY_BYTES = 32;
const MAX_CHARACTERS = 256;
/** No control characters, line separators, halves of a surrogate pair or unassigned ones. */
export const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]+$/u;

/** A new signing secret: `whsec_` and 32 random bytes in base64. */
export function generateSecret(): string {
  return SECRET_PREFIX + randomBytes(GENERATED_KEY_BYTES).toString('base64');
}

/**
 * Why a text cannot be a signing secret, whatever it is worth; undefined if it can. It is a text of any kind: receivers
 * that exist already have theirs. The message never holds it.
 */
export function secretProblem(secret: string): string | undefined {
  if (!PRINTABLE.test(secret)) return 'must hold printable characters only: no line breaks, tabs or other controls';
  if (secret.trim() !== secret) return 'must not begin or end with white space, which copies easily lose';
  if ([...secret].length > MAX_CHARACTERS) return `must have at most ${MAX_CHARACTERS} characters`;
  return undefined;
}

export const MIN_SECRET_CHARACTERS = 16;
/** A random text of 16 hex digits has 64; some are estimated a little lower. */
export const MIN_SECRET_BITS = 58;
/** Of what `whsec_…` holds in base64. */
const MIN_KEY_BYTES = 16;
/** Of a key in base64: 24 random bytes have fewer than this less often than once in 10^20. */
const MIN_DISTINCT_BYTES = 12;
/** What stands in documentations, which everyone knows: of Standard Webhooks and GitHub, and a common placeholder. */
const DOCUMENTED = [
  'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  "It's a Secret to Everybody",
  'user-generated-secret',
];

/**
 * Why a secret that someone brings along is too weak to sign; undefined if no weakness is found. The message says how to
 * make one, and never holds the secret. Secrets that were stored before a rule sign on.
 */
export function secretWeakness(secret: string): string | undefined {
  const weakness = weaknessOf(secret);
  return weakness && `is too weak: ${weakness}. Make one with \`openssl rand -hex 32\`, or leave it out`;
}

function weaknessOf(secret: string): string | undefined {
  const length = [...secret].length;
  if (length < MIN_SECRET_CHARACTERS) return `it has ${length} characters, and ${MIN_SECRET_CHARACTERS} are the least`;
  if (DOCUMENTED.includes(secret)) return 'it is the example of a documentation';
  const text = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret;
  const key = decoded(secret);
  if (key && key.length < MIN_KEY_BYTES) return `its key has ${key.length} bytes, and ${MIN_KEY_BYTES} are the least`;
  if (key && key.length >= MIN_DISTINCT_BYTES * 2) {
    const distinct = new Set(key).size;
    if (distinct < MIN_DISTINCT_BYTES) return `its bytes have ${distinct} different values, and 12 are the least`;
    if (isRepeated(key)) return 'it is a sequence of bytes that is repeated';
  }
  if (isRepeated(Buffer.from(text))) return 'it is a text that is repeated';
  const bits = Math.floor(secretBits(text));
  if (bits >= MIN_SECRET_BITS) return undefined;
  return `it can be guessed (about ${bits} bits, and ${MIN_SECRET_BITS} are the least)`;
}

/** Whether it is made of one sequence of at most half its length, over and over; the last time may be cut. */
function isRepeated(bytes: Buffer): boolean {
  for (let length = 1; length <= bytes.length / 2; length++) {
    if (bytes.subarray(length).equals(bytes.subarray(0, bytes.length - length))) return true;
  }
  return false;
}

/** A secret with the keys that styles derive from it, each made once for many attempts. */
export type SigningSecret = {
  /** The whole text as UTF-8. */
  text: Buffer;
  /** The bytes that `whsec_…` holds in base64; of every other secret the whole text. */
  standard: Buffer;
};

export function toSigningSecret(secret: string): SigningSecret {
  const text = Buffer.from(secret);
  return { text, standard: decoded(secret) ?? text };
}

/** The secrets that sign a request. */
export type SigningSecrets = {
  /** The newest one first: for styles that carry a signature for each. */
  all: readonly SigningSecret[];
  /** For styles that carry one signature: in a rotation the old one, until the switch. */
  single: SigningSecret;
};

/**
 * @param given what signs now, the newest one first; `switched`: its time for the styles that carry one signature has come
 * @throws if there is none
 */
export function toSigningSecrets(given: readonly { secret: string; switched: boolean }[]): SigningSecrets {
  const all = given.map(({ secret }) => toSigningSecret(secret));
  const switched = given.findIndex((one) => one.switched);
  // If none is left whose time has come, receivers know the oldest best.
  const single = all[switched === -1 ? all.length - 1 : switched];
  if (!single) throw new Error('A delivery needs at least one signing secret');
  return { all, single };
}

/** Base64 in its alphabets, standard and url-safe (RFC 4648, 4 and 5), padded or not, as receivers decode it. */
const BASE64 = /^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}$/;

/** The key of Standard Webhooks 1.0.0, in a secret that begins with `whsec_`; undefined if that is followed by something else. */
function decoded(secret: string): Buffer | undefined {
  if (!secret.startsWith(SECRET_PREFIX)) return undefined;
  const encoded = secret.slice(SECRET_PREFIX.length);
  // Buffer.from skips what is not base64; a receiver's library may not, and the two keys would differ.
  if (!BASE64.test(encoded)) return undefined;
  const digits = encoded.replace(/=+$/, '');
  const padded = digits.length < encoded.length;
  if (digits.length % 4 === 1 || (padded && encoded.length % 4 !== 0) || digits === '') return undefined;
  return Buffer.from(digits, 'base64');
}
