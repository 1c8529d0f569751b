import type { Format } from './data-schema';
import { isFullDate, parseTime } from './rfc3339';

/** Whether a text has a format. */
export type FormatChecks = Record<Format, (text: string) => boolean>;

/** An RFC 3339 `full-time`: the time of some day that may have a leap second, in whatever offset. */
const isTime = (text: string) => [`1970-12-31T${text}`, `1971-01-01T${text}`].some((at) => parseTime(at) !== undefined);

/**
 * Formats by a grammar of our own: times as the API itself takes them, and the UUID of RFC 4122 without `urn:uuid:`. The
 * package that has the others takes more than the RFCs do here: a space for the `T`, `+01`, leap seconds on any day.
 */
export const OWN_FORMATS = {
  'date-time': (text) => parseTime(text) !== undefined,
  date: isFullDate,
  time: isTime,
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
} satisfies Partial<FormatChecks>;

/** The longest text that has a format whose check costs more than a look at each character; longer ones have none. */
export const MAX_FORMATTED = {
  email: 254, // RFC 5321, section 4.5.3.1.3, without the angle brackets
  hostname: 255, // RFC 1123, section 2.1
  ipv4: 15,
  ipv6: 45,
  uri: 2_048, // as the URL of a webhook
  'uri-reference': 2_048,
  duration: 256,
} satisfies Partial<Record<Format, number>>;

const CHARACTERS_PER_UNIT = 64;
const byLength = (text: string) => 4 + text.length / CHARACTERS_PER_UNIT;
const upTo = (limit: number, perCharacter: number) => (text: string) => 2 + Math.min(text.length, limit) * perCharacter;

/** What a text under a format costs, in units of work (see ./work-budget.ts): those of a URL look at it several times. */
export const FORMAT_UNITS: Record<Format, (text: string) => number> = {
  'date-time': byLength,
  date: () => 4,
  time: byLength,
  duration: upTo(MAX_FORMATTED.duration, 1 / 16),
  email: upTo(MAX_FORMATTED.email, 1 / 8),
  hostname: upTo(MAX_FORMATTED.hostname, 1 / 8),
  ipv4: () => 4,
  ipv6: () => 8,
  uri: (text) => 20 + upTo(MAX_FORMATTED.uri, 1 / 4)(text),
  'uri-reference': (text) => 20 + upTo(MAX_FORMATTED['uri-reference'], 1 / 4)(text),
  uuid: () => 2,
  'json-pointer': (text) => 2 + text.length / 8,
};
