/**
 * Times as RFC 3339 writes them, all of its section 5.6: `T` and `Z` in either case, any number of digits of a second, any
 * offset, and leap seconds. The one parser of whatever takes a time.
 */

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * The instant of an RFC 3339 `date-time` in Unix milliseconds; digits beyond those are cut. A leap second is the first
 * instant of the next day, as POSIX counts it; it stands at the end of a month in UTC (section 5.7). Undefined: it is none.
 */
export function parseTime(text: string): number | undefined {
  const found = TIME.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = found;
  const midnightMs = dateMs(Number(year), Number(month), Number(day));
  if (midnightMs === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
  const offset = (sign === '-' ? -1 : 1) * (Number(offsetHour) * 60 + Number(offsetMinute));
  const minuteMs = midnightMs + (Number(hour) * 60 + Number(minute) - offset) * MINUTE_MS;
  if (Number(second) === 60 && !isMonthStart(minuteMs + MINUTE_MS)) return undefined;
  return minuteMs + Number(second) * 1_000 + Number(fraction.slice(0, 3).padEnd(3, '0'));
}

/** Whether a text is an RFC 3339 `full-date`: a day of the calendar. */
export function isFullDate(text: string): boolean {
  const found = DATE.exec(text);
  return found !== null && dateMs(Number(found[1]), Number(found[2]), Number(found[3])) !== undefined;
}

function dateMs(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  // Date.UTC would take years below 100 for those of the last century.
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

const isMonthStart = (ms: number) => ms % DAY_MS === 0 && new Date(ms).getUTCDate() === 1;
