/**
 * The source text of members of a JSON object, exactly as they were written.
 *
 * Parsing and printing again changes data: 64-bit integers lose their last digits, 1.0 becomes 1. What a producer
 * publishes is what receivers get, so its bytes are cut out of the request instead.
 *
 * @param json text that JSON.parse has accepted and that holds an object
 * @returns the text of each named member's value that is there; of the last one if a name is repeated, as JSON.parse
 * takes it
 */
export function rawMembers(json: string, names: { has(name: string): boolean }): Map<string, string> {
  const found = new Map<string, string>();
  let at = skipSpace(json, skipSpace(json, 0) + 1);
  while (json[at] === '"') {
    const keyEnd = endOfString(json, at);
    const key = JSON.parse(json.slice(at, keyEnd)) as string;
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = endOfValue(json, start);
    if (names.has(key)) found.set(key, json.slice(start, end));
    at = skipSpace(json, end);
    if (json[at] === ',') at = skipSpace(json, at + 1);
  }
  return found;
}

/** The text of one member's value, or undefined. */
export function rawMember(json: string, name: string): string | undefined {
  return rawMembers(json, new Set([name])).get(name);
}

/**
 * The source texts of the items of a JSON array, exactly as they were written, one after the other.
 *
 * @param json text that JSON.parse has accepted and that holds an array
 */
export function* rawItems(json: string): Generator<string> {
  let at = skipSpace(json, skipSpace(json, 0) + 1);
  while (json[at] !== ']') {
    const end = endOfValue(json, at);
    yield json.slice(at, end);
    at = skipSpace(json, end);
    if (json[at] === ',') at = skipSpace(json, at + 1);
  }
}

/** The position of the next character that is not white space. */
export function skipSpace(json: string, at: number): number {
  let i = at;
  while (json[i] === ' ' || json[i] === '\n' || json[i] === '\r' || json[i] === '\t') i++;
  return i;
}

function endOfString(json: string, start: number): number {
  // Most of a payload is inside strings: leap from quote to quote.
  let quote = json.indexOf('"', start + 1);
  while (quote >= 0 && isEscaped(json, quote)) quote = json.indexOf('"', quote + 1);
  return quote < 0 ? json.length : quote + 1;
}

/** An odd number of backslashes stands before it; the string's own opening quote ends their row. */
function isEscaped(json: string, at: number): boolean {
  let backslashes = 0;
  while (json[at - 1 - backslashes] === '\\') backslashes++;
  return backslashes % 2 === 1;
}

/**
 * The position at which a value ends. If it is not JSON, some position behind its start, so that parsing up to it fails.
 *
 * @param limit how far to look: undefined if a list or object does not end before it
 */
export function endOfValue(json: string, start: number): number;
export function endOfValue(json: string, start: number, limit: number): number | undefined;
export function endOfValue(json: string, start: number, limit = json.length): number | undefined {
  let depth = 0;
  for (let i = start; i < json.length; ) {
    if (i >= limit && depth > 0) return undefined;
    const c = json.charCodeAt(i);
    if (c === QUOTE) {
      i = endOfString(json, i);
      if (depth === 0) return i;
      continue;
    }
    if (c === BRACE || c === BRACKET) depth++;
    else if (c === END_BRACE || c === END_BRACKET) {
      if (depth === 0) return trimEnd(json, start, i);
      if (--depth === 0) return i + 1;
    } else if (c === COMMA && depth === 0) return trimEnd(json, start, i);
    i++;
  }
  return json.length;
}

/** Compared as numbers: a character at a time would be a text of its own. */
const [QUOTE, BRACE, END_BRACE, BRACKET, END_BRACKET, COMMA] = [...'"{}[],'].map((c) => c.charCodeAt(0));

/** A number or word ends before the white space that follows it. */
function trimEnd(json: string, start: number, end: number): number {
  return start + json.slice(start, end).trimEnd().length;
}
