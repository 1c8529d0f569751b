/** How the end of an answer's body is found (RFC 9112 6.3). */
export type Framing = { kind: 'none' } | { kind: 'length'; bytes: number } | { kind: 'chunked' } | { kind: 'close' };

/** The status line and headers of an answer, an interim one (1xx) included. */
export interface AnswerHead {
  /** 100 to 999. */
  statusCode: number;
  /** By lower-case name; lines of one name are joined with commas (RFC 9110 5.2). Each byte is one character. */
  headers: Record<string, string>;
  framing: Framing;
  /** Whether the connection may be used again after the answer (RFC 9112 9.3). */
  persistent: boolean;
  /** How long the receiver keeps an idle connection open, if it said so; seconds. */
  keepAliveSeconds: number | undefined;
}

/** Why an answer is refused: shown to tenants after "The answer is not valid HTTP". */
export const BROKEN_RULES = {
  status_line: 'it does not begin with a status line of HTTP/1.0 or HTTP/1.1 (RFC 9112 4)',
  status_code: 'its status code is not between 100 and 999 (RFC 9110 15)',
  no_colon: 'a header line has no colon (RFC 9112 5)',
  field_name: 'the name of a header is not a token (RFC 9110 5.1)',
  field_value: 'a header holds a NUL or a lone carriage return (RFC 9110 5.5)',
  content_length: 'Content-Length is not one whole number (RFC 9112 6.3)',
  switched_protocol: 'it switches to a protocol that was not asked for (RFC 9110 15.2.2)',
  too_many_interim: 'too many interim answers (1xx) came before the final one (RFC 9110 15.2)',
} as const;
export type BrokenRule = keyof typeof BROKEN_RULES;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DIGITS = /^\d+$/;
/** Digits of a length that is still an exact number. A longer one is legal, and its body is cut long before its end. */
const EXACT_DIGITS = 15;
/** Spaces where one belongs: a recipient may take them (RFC 9112 3 and 4). */
const SPACED_STATUS = /^HTTP\/1\.(\d)[ \t]+(\d{3})(?:[ \t]|$)/;

/** More is the same as this: connections are closed by us long before. */
const MAX_KEEP_ALIVE_SECONDS = 3_600;

/** Names that were valid before: the same few come with each answer. */
const knownNames = new Map<string, string>();
const MAX_KNOWN_NAMES = 1_000;
/** Longer ones are not common, and could fill the memory. */
const MAX_KNOWN_NAME_LENGTH = 64;

/**
 * Reads the status line and headers of an answer, by RFC 9112 and 9110. Takes what they oblige a client to take, and what
 * they allow it to take and receivers are known to send: a bare line feed, white space before a colon, a higher minor
 * version.
 * @param text each byte as one character, up to and with the empty line
 */
export function parseHead(text: string): AnswerHead | BrokenRule {
  if (text.includes('\0')) return 'field_value';
  const firstEnd = text.indexOf('\n');
  const status = parseStatusLine(withoutCr(text.slice(0, firstEnd)));
  if (typeof status === 'string') return status;
  const headers = parseFields(text, firstEnd + 1);
  if (typeof headers === 'string') return headers;
  const { statusCode, minor } = status;
  const framing = framingOf(statusCode, headers);
  if (typeof framing === 'string') return framing;
  return {
    statusCode,
    headers,
    framing,
    persistent: isPersistent(minor, headers, framing),
    keepAliveSeconds: keepAliveSeconds(headers['keep-alive']),
  };
}

/** Spaces and tabs only: another byte that JavaScript takes for a space may be half a character (RFC 9110 5.6.3). */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const trimSpaces = (text: string) => trimmed(text, 0, text.length);

function isSpace(code: number): boolean {
  return code === 32 || code === 9;
}

function withoutCr(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

function parseStatusLine(line: string): { statusCode: number; minor: number } | BrokenRule {
  const parts = SPACED_STATUS.exec(line);
  if (!parts) return line.startsWith('HTTP/1.') ? 'status_code' : 'status_line';
  const statusCode = Number(parts[2]);
  return statusCode < 100 ? 'status_code' : { statusCode, minor: Number(parts[1]) };
}

function parseFields(text: string, start: number): Record<string, string> | BrokenRule {
  // Without a prototype: a header may be called __proto__.
  const headers = Object.create(null) as Record<string, string>;
  let last: string | undefined;
  let nextCr = start - 1;
  for (let from = start; from < text.length; ) {
    const lineFeed = text.indexOf('\n', from);
    const end = text.charCodeAt(lineFeed - 1) === 13 ? lineFeed - 1 : lineFeed;
    if (end <= from) break;
    if (nextCr !== -1 && nextCr < from) nextCr = text.indexOf('\r', from);
    if (nextCr !== -1 && nextCr < end) return 'field_value';
    if (isSpace(text.charCodeAt(from))) {
      // A folded value goes on, with a space for the fold (RFC 9112 5.2). Before the first header it is skipped (2.2).
      const more = trimmed(text, from, end);
      if (last !== undefined && more !== '') headers[last] = headers[last] === '' ? more : `${headers[last]} ${more}`;
    } else {
      const colon = text.indexOf(':', from);
      if (colon === -1 || colon >= end) return 'no_colon';
      // White space before the colon is dropped, as every proxy must (RFC 9112 5.1).
      const name = toName(text.slice(from, colon));
      if (name === undefined) return 'field_name';
      const value = trimmed(text, colon + 1, end);
      const before = headers[name];
      headers[name] = before === undefined ? value : `${before}, ${value}`;
      last = name;
    }
    from = lineFeed + 1;
  }
  return headers;
}

function toName(written: string): string | undefined {
  const known = knownNames.get(written);
  if (known !== undefined) return known;
  const name = trimSpaces(written);
  if (!TOKEN.test(name)) return undefined;
  const lower = name.toLowerCase();
  if (knownNames.size >= MAX_KNOWN_NAMES) knownNames.clear();
  if (written.length <= MAX_KNOWN_NAME_LENGTH) knownNames.set(written, lower);
  return lower;
}

/** The elements of a list; empty ones do not count (RFC 9110 5.6.1). */
function elements(list: string): string[] {
  return list
    .split(',')
    .map((element) => trimSpaces(element).toLowerCase())
    .filter((element) => element !== '');
}

function framingOf(statusCode: number, headers: Record<string, string>): Framing | BrokenRule {
  // Whatever else they say (RFC 9112 6.3, 1).
  if (statusCode < 200 || statusCode === 204 || statusCode === 304) return { kind: 'none' };
  const codings = elements(headers['transfer-encoding'] ?? '');
  // It overrides a length (6.3, 3); if the last one is not chunked, the body lasts until the connection closes (6.3, 4).
  if (codings.length > 0) return /^chunked[ \t]*(;|$)/.test(codings.at(-1)!) ? { kind: 'chunked' } : { kind: 'close' };
  const written = headers['content-length'];
  if (written === undefined) return { kind: 'close' };
  const bytes = lengthOf(written);
  if (bytes === undefined) return 'content_length';
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
}

/** A number, or a list of one number that was repeated (RFC 9112 6.3, 5). */
function lengthOf(written: string): number | undefined {
  const lengths = DIGITS.test(written) ? [written] : elements(written);
  let length: string | undefined;
  for (const each of lengths) {
    if (!DIGITS.test(each)) return undefined;
    const digits = each.replace(/^0+(?=\d)/, '');
    if (length !== undefined && length !== digits) return undefined;
    length = digits;
  }
  if (length === undefined) return undefined;
  return length.length > EXACT_DIGITS ? Number.MAX_SAFE_INTEGER : Number(length);
}

function isPersistent(minor: number, headers: Record<string, string>, framing: Framing): boolean {
  if (framing.kind === 'close') return false;
  const coded = headers['transfer-encoding'] !== undefined;
  // Two framings, or one that HTTP/1.0 does not have, are faulty: read, and then closed (RFC 9112 6.1 and 6.3).
  if (coded && (minor === 0 || headers['content-length'] !== undefined)) return false;
  const { connection } = headers;
  if (connection === undefined) return minor > 0;
  if (connection === 'keep-alive') return true;
  const options = elements(connection);
  if (options.includes('close')) return false;
  return minor > 0 || options.includes('keep-alive');
}

/** `timeout` of Keep-Alive (RFC 2068 19.7.1.1), in whole seconds; 0 if `max` says that no request may follow. */
function keepAliveSeconds(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  if (written === lastKeepAlive.written) return lastKeepAlive.seconds;
  const seconds = parseKeepAlive(written);
  lastKeepAlive = { written, seconds };
  return seconds;
}

/** Most receivers say the same each time. */
let lastKeepAlive: { written?: string; seconds: number | undefined } = { seconds: undefined };

function parseKeepAlive(written: string): number | undefined {
  let seconds: number | undefined;
  for (const parameter of elements(written)) {
    const [, name, digits] = /^([^\s=]+)[ \t]*=[ \t]*"?(\d+)/.exec(parameter) ?? [];
    if (name === 'max' && Number(digits) === 0) return 0;
    if (name === 'timeout') seconds = Math.min(Number(digits), seconds ?? MAX_KEEP_ALIVE_SECONDS);
  }
  return seconds;
}
