/**
 * How a webhook's receiver gets the JSON text of the data. `exact`: as it was published. `compact`: without white space
 * between tokens. `javascript`: as JSON.stringify(JSON.parse(text)) writes it, for receivers that rebuild the body from
 * what they parsed and compute the signature over that.
 */
export const BODY_FORMATS = ['exact', 'compact', 'javascript'] as const;
export type BodyFormat = (typeof BODY_FORMATS)[number];

/** @param json the UTF-8 bytes of a text that JSON.parse accepts */
export function formatJson(json: Buffer, format: BodyFormat): Buffer {
  switch (format) {
    case 'exact':
      return json;
    case 'compact':
      return compactJson(json);
    case 'javascript':
      return rewriteJson(json);
  }
}

const [QUOTE, BACKSLASH, SPACE, TAB, LINE_FEED, RETURN] = [...'"\\ \t\n\r'].map((c) => c.charCodeAt(0));

/**
 * The same text without insignificant white space (RFC 8259 section 2); every other byte stays. Bytes, not characters:
 * all that this looks for is ASCII, and no byte of a longer character is (RFC 3629 section 3).
 */
export function compactJson(json: Buffer): Buffer {
  const kept = Buffer.allocUnsafe(json.length);
  let length = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (inString) {
      kept[length++] = byte;
      if (byte === BACKSLASH) kept[length++] = json[++i]!;
      else if (byte === QUOTE) inString = false;
    } else if (byte !== SPACE && byte !== LINE_FEED && byte !== RETURN && byte !== TAB) {
      kept[length++] = byte;
      inString = byte === QUOTE;
    }
  }
  return kept.subarray(0, length);
}

/**
 * JSON.stringify has a limit to its depth, some thousands of levels, and JSON.parse has none. A receiver could not rebuild
 * what is deeper either, so it is only compacted: a delivery is never given up for its format.
 */
function rewriteJson(json: Buffer): Buffer {
  const value: unknown = JSON.parse(json.toString('utf8'));
  try {
    return Buffer.from(JSON.stringify(value));
  } catch (error) {
    if (error instanceof RangeError) return compactJson(json);
    throw error;
  }
}
