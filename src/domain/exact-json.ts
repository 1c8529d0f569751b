import { compareDecimals, type Decimal, parseDecimal, toDecimal } from './decimal';

/**
 * Numbers that a double does not hold. JSON has any number of digits; `JSON.parse` rounds what has more than some
 * sixteen. A text is marked before it is parsed: each such number becomes an object with one member whose name nobody
 * else can know, and whose value is the number as it was written.
 */

/** A text without a row of so many digits, and without an exponent, has none of them. */
const MAY_ROUND = /[\d.]{16}|\d[eE]/;
/** A text or a number: what is in texts is left alone. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** A number as it was written, where its double is another one. */
export class ExactNumber {
  readonly #decimal: Decimal | undefined;

  constructor(readonly text: string) {
    this.#decimal = parseDecimal(text);
  }

  /** Undefined: it has more digits than are counted with. */
  get decimal(): Decimal | undefined {
    return this.#decimal;
  }
}

/** Finds the numbers that were marked. */
export type Marks = { readonly name: string };

/**
 * Marks the numbers of a text that a double does not hold. Undefined if there is none, so that the text may be parsed as
 * it is.
 *
 * @param json text that JSON.parse has accepted
 * @param name of the member; whoever wrote the text must not know it
 */
export function markRounded(json: string, name: string): { json: string; marks: Marks } | undefined {
  if (!MAY_ROUND.test(json)) return undefined;
  let found = false;
  const marked = json.replace(TOKEN, (token) => {
    if (token[0] === '"' || isHeld(token)) return token;
    found = true;
    return `{"${name}":"${token}"}`;
  });
  return found ? { json: marked, marks: { name } } : undefined;
}

/** A value as it was meant: a number that was marked is an {@link ExactNumber}. */
export function reveal(value: unknown, marks: Marks | undefined): unknown {
  if (marks === undefined || typeof value !== 'object' || value === null) return value;
  const text = (value as Record<string, unknown>)[marks.name];
  return typeof text === 'string' ? new ExactNumber(text) : value;
}

/** Whether a double is this number. */
function isHeld(token: string): boolean {
  if (token.length < 16 && !/[eE]/.test(token)) return true;
  const n = Number(token);
  if (!Number.isFinite(n)) return false;
  const exact = parseDecimal(token);
  return exact !== undefined && compareDecimals(exact, toDecimal(n)) === 0;
}
