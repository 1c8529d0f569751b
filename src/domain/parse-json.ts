import { endOfValue, skipSpace } from './raw-member';
import type { Steps } from './work-budget';

/** What is shorter is parsed at once: some tenths of a millisecond at worst. */
const PIECE = 8 * 1024;
/** Levels that are taken apart. What is large and deeper is parsed at once: each level costs a look at so much text. */
const LEVELS = 32;

/**
 * The same as `JSON.parse`, in steps: lists and objects that are large are taken apart, so that the longest step is one
 * long text.
 *
 * @throws SyntaxError if the text is not JSON (RFC 8259)
 */
export function* parseJsonInSteps(json: string): Steps<unknown> {
  const { value, end } = yield* parseValue(json, skipSpace(json, 0), LEVELS);
  if (skipSpace(json, end) !== json.length) throw notJson(end);
  return value;
}

type Parsed = { value: unknown; end: number };

function* parseValue(json: string, start: number, levels: number): Steps<Parsed> {
  const isLarge = levels > 0 && (json[start] === '{' || json[start] === '[');
  const end = isLarge ? endOfValue(json, start, start + PIECE) : endOfValue(json, start);
  if (end !== undefined) {
    yield;
    return { value: JSON.parse(json.slice(start, end)), end };
  }
  return json[start] === '{' ? yield* parseObject(json, start, levels - 1) : yield* parseArray(json, start, levels - 1);
}

function* parseArray(json: string, start: number, levels: number): Steps<Parsed> {
  const value: unknown[] = [];
  let at = start;
  if (isEmpty(json, start, ']')) return closed(json, skipSpace(json, start + 1), ']', value);
  do {
    const item = yield* parseValue(json, skipSpace(json, at + 1), levels);
    value.push(item.value);
    at = skipSpace(json, item.end);
  } while (json[at] === ',');
  return closed(json, at, ']', value);
}

function* parseObject(json: string, start: number, levels: number): Steps<Parsed> {
  const value = {};
  let at = start;
  if (isEmpty(json, start, '}')) return closed(json, skipSpace(json, start + 1), '}', value);
  do {
    const nameAt = skipSpace(json, at + 1);
    const nameEnd = endOfValue(json, nameAt);
    const name: unknown = JSON.parse(json.slice(nameAt, nameEnd));
    const colon = skipSpace(json, nameEnd);
    if (typeof name !== 'string' || json[colon] !== ':') throw notJson(nameAt);
    const member = yield* parseValue(json, skipSpace(json, colon + 1), levels);
    // Assigning a member named `__proto__` would set the prototype.
    if (name === '__proto__') Object.defineProperty(value, name, { ...OWN, value: member.value });
    else (value as Record<string, unknown>)[name] = member.value;
    at = skipSpace(json, member.end);
  } while (json[at] === ',');
  return closed(json, at, '}', value);
}

const OWN = { configurable: true, enumerable: true, writable: true };

/** White space alone can make it large. */
const isEmpty = (json: string, start: number, by: string) => json[skipSpace(json, start + 1)] === by;

function closed(json: string, at: number, by: string, value: unknown): Parsed {
  if (json[at] !== by) throw notJson(at);
  return { value, end: at + 1 };
}

const notJson = (at: number) => new SyntaxError(`not JSON at ${at}`);
