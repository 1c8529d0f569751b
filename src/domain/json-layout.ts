/** A JSON text with other white space: every value stays as it was written, digits and escapes included. */

/** A text with its quotes, a bracket, a comma, a colon; or a word or number. White space matches none. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** @param json text that JSON.parse has accepted */
export const compactJson = (json: string): string => json.match(TOKEN)?.join('') ?? '';

/** As `JSON.stringify` with two spaces writes it. */
export function indentJson(json: string): string {
  const tokens = json.match(TOKEN) ?? [];
  const parts: string[] = [];
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  for (const [at, token] of tokens.entries()) {
    const next = tokens[at + 1];
    if (token === '{' || token === '[') {
      depth++;
      parts.push(token, next === '}' || next === ']' ? '' : line());
    } else if (token === '}' || token === ']') {
      depth--;
      const before = tokens[at - 1];
      parts.push(before === '{' || before === '[' ? '' : line(), token);
    } else if (token === ',') parts.push(token, line());
    else parts.push(token, token === ':' ? ' ' : '');
  }
  return parts.join('');
}
