/** The key that docs/operations.md shows; whoever copies it has no secret. */
const EXAMPLE = 'posthorn-example-key-do-not-use!';

/** Of 32 random bytes, fewer than this many differ once in more than 10^12 keys. */
const MIN_DISTINCT = 16;

/**
 * Why these bytes are no secret; undefined where nothing shows it. Random bytes are never refused in practice; whether
 * bytes are random can not be seen.
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
