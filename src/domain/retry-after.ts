/** What an endpoint gets that asks for a pause in words that cannot be read: as short as any throttle is. */
export const SHORTEST_THROTTLE_MS = 1_000;
/** Some 300 years. More digits say no more, and the milliseconds stay exact. */
const MAX_ASKED_MS = 10 ** 13;

/** RFC 9110 has whole seconds; servers that compute them send fractions. */
const SECONDS = /^(\d+\.?\d*|\.\d+)$/;
/** The three forms of RFC 9110 5.6.7, in any case: what comes before the date, and GMT after it, adds nothing. */
const DATES = [
  /^[a-z]+, *(?<day>\d\d?) +(?<month>[a-z]{3}) +(?<year>\d{4}) +(?<time>\d\d:\d\d:\d\d) +(?:gmt|utc)$/i, // IMF-fixdate
  /^[a-z]+, *(?<day>\d\d?)-(?<month>[a-z]{3})-(?<year>\d{2}|\d{4}) +(?<time>\d\d:\d\d:\d\d) +(?:gmt|utc)$/i, // RFC 850
  /^[a-z]+ +(?<month>[a-z]{3}) +(?<day>\d\d?) +(?<time>\d\d:\d\d:\d\d) +(?<year>\d{4})$/i, // asctime
];
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
/** The comma of a date stands before its day; any other is between two fields of the name that were joined. */
const BETWEEN_FIELDS = /,(?! *\d\d?[ -]+[a-z]{3})/i;

/**
 * Milliseconds that a Retry-After header asks for (RFC 9110 10.2.3): seconds or an HTTP-date. The longest, if it came more
 * than once. Undefined if there is no such header, or its time is past.
 * @param unreadableMs what one asks for that cannot be read: a host that sends it wants a pause; null: nothing
 */
export function retryAfterMs(
  header: string | undefined,
  nowMs: number,
  unreadableMs: number | null = SHORTEST_THROTTLE_MS,
): number | undefined {
  if (header === undefined) return undefined;
  const asked = header
    .split(BETWEEN_FIELDS)
    .map((text) => askedMs(text.trim(), nowMs))
    .filter((ms) => ms !== undefined);
  if (asked.length === 0) return unreadableMs ?? undefined;
  const longest = Math.max(...asked);
  return longest < 0 ? undefined : Math.min(longest, MAX_ASKED_MS);
}

/** Negative if its time is past; undefined if it is neither seconds nor a date. */
function askedMs(text: string, nowMs: number): number | undefined {
  if (SECONDS.test(text)) return Math.ceil(Math.min(Number(text) * 1_000, MAX_ASKED_MS));
  for (const form of DATES) {
    const groups = form.exec(text)?.groups;
    const atMs = groups && timeOf(groups as DateParts, nowMs);
    // What is due at this moment is past, too.
    if (atMs !== undefined) return atMs > nowMs ? atMs - nowMs : -1;
  }
  return undefined;
}

type DateParts = { day: string; month: string; year: string; time: string };

function timeOf({ day, month, year, time }: DateParts, nowMs: number): number | undefined {
  const monthIndex = MONTHS.indexOf(month.toLowerCase());
  const [hours, minutes, seconds] = time.split(':').map(Number) as [number, number, number];
  if (monthIndex < 0 || Number(day) > 31 || hours > 23 || minutes > 59 || seconds > 60) return undefined;
  return Date.UTC(fullYear(year, nowMs), monthIndex, Number(day), hours, minutes, seconds);
}

/** Two digits that would lie more than 50 years ahead are of the past century (RFC 9110 5.6.7). */
function fullYear(digits: string, nowMs: number): number {
  if (digits.length === 4) return Number(digits);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(digits);
  return year > thisYear + 50 ? year - 100 : year;
}
