/** Characters of a name of a tenant or key. */
export const MAX_NAME_LENGTH = 100;

/**
 * What a name may not hold: control characters (a terminal obeys them), line and paragraph separators, formatting
 * characters (bidirectional overrides, zero-width ones, tags), the fillers that show as nothing, and halves of surrogate
 * pairs. With them a name could look like another one, or rewrite the line that it stands in (Unicode TR36, TR39).
 * Joiners are among them: emoji that are made of several, and some spellings of Persian and Indian names, go without.
 */
const UNSHOWABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/u;
const EACH_UNSHOWABLE = new RegExp(UNSHOWABLE, 'gu');

/** Why this cannot be the name of a tenant or key; undefined if it can. Its length is another matter. */
export function nameProblem(name: string): string | undefined {
  const found = UNSHOWABLE.exec(name);
  return found ? `must not hold control or invisible characters (${codePoint(found[0])})` : undefined;
}

/** @throws Error if the length or a character is not allowed; `what` begins its message */
export function requireName(name: string, what: string): void {
  if (name.length < 1 || name.length > MAX_NAME_LENGTH) {
    throw new Error(`${what} has 1 to ${MAX_NAME_LENGTH} characters.`);
  }
  const problem = nameProblem(name);
  if (problem) throw new Error(`${what} ${problem}.`);
}

/** A name as it may stand on a terminal: what older versions took and this one would not is written as `\u{1b}`. */
export function escapeName(name: string): string {
  return name.replace(EACH_UNSHOWABLE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

const codePoint = (character: string) => `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
