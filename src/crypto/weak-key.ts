/** The example key of docs/operations.md: not a secret. */
const EXAMPLE = 'posthorn-example-key-do-not-use!';

/** Of 32 random bytes, fewer than this many differ once in more than 10^12 keys. */
const MIN_DISTINCT = 16;

/**
 * The reason why a key is weak; undefined if no weakness is detected. Random bytes are never refused in practice; whether
 * bytes are random cannot be detected.
 */
export function keyWeakness(bytes: Uint8Array): string | undefined {
  if (new Set(bytes).size < MIN_DISTINCT) return `has fewer than ${MIN_DISTINCT} different bytes`;
  if (isSequence(bytes)) return 'counts up or down';
  if (Buffer.from(bytes).toString('latin1') === EXAMPLE) return 'is the example of the documentation';
  return undefined;
}

/** 0, 1, 2, … and the like: every byte is the one before it plus the same step. */
function isSequence(bytes: Uint8Array): boolean {
  const step = (i: number) => (bytes[i]! - bytes[i - 1]!) & 0xff;
  return bytes.every((_, i) => i < 2 || step(i) === step(1));
}
