import type { Format } from './data-schema';
import { parseUrl } from './parse-url';

/** A URL may have this many characters; what is longer is looked at no further. */
const MAX_URI = 2_048;

/** Linear in the text, without a regular expression that can backtrack. */
export const FORMAT_CHECKS: Record<Format, (text: string) => boolean> = {
  'date-time': (text) =>
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(text) && isDay(text.slice(0, 10)),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && isDay(text),
  email: (text) => text.length <= 254 && /^[^\s@]{1,64}@[^\s@]{1,253}$/.test(text),
  uri: (text) => text.length <= MAX_URI && /^[a-z][a-z0-9+.-]*:/i.test(text) && parseUrl(text) !== undefined,
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
};

/** What a text under a format costs, in units of work (see ./work-budget.ts): a URL is parsed, names of hosts and all. */
export const FORMAT_UNITS: Record<Format, (text: string) => number> = {
  'date-time': () => 4,
  date: () => 4,
  email: (text) => 2 + Math.min(text.length, 254) / 64,
  uri: (text) => 20 + Math.min(text.length, MAX_URI) / 4,
  uuid: () => 2,
};

function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}
