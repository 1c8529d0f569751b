import { isUtf8 } from 'node:buffer';

/** Bytes of the longest character of UTF-8, but the last. */
const MAX_HALF_CHARACTER = 3;

/**
 * What an endpoint answered, to be shown: as text, and if it is not UTF-8 (packed, another encoding, an image) also its
 * bytes in base64. A body that was cut in the middle of its last character is still text, without that character.
 */
export function toShownBody(bytes: Buffer | null, cut: string | null): { body: string; body_base64: string | null } {
  if (bytes === null) return { body: '', body_base64: null };
  for (let dropped = 0; dropped <= (cut === null ? 0 : Math.min(MAX_HALF_CHARACTER, bytes.length)); dropped++) {
    const whole = bytes.subarray(0, bytes.length - dropped);
    if (isUtf8(whole) && isBeginning(bytes.subarray(whole.length))) {
      return { body: whole.toString('utf8'), body_base64: null };
    }
  }
  return { body: bytes.toString('utf8'), body_base64: bytes.toString('base64') };
}

/** Whether these bytes are the beginning of a character of UTF-8 (RFC 3629 3), or none. */
function isBeginning(bytes: Buffer): boolean {
  const [first = 0, ...more] = bytes;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return (
    bytes.length === 0 ||
    (first >= 0xc2 && first <= 0xf4 && bytes.length < length && more.every((byte) => byte >= 0x80 && byte <= 0xbf))
  );
}
