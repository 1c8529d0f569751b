const MAX_DELTA_DIGITS = 10;

/**
 * Milliseconds that a Retry-After header asks for (RFC 9110, section 10.2.3): delay-seconds or an HTTP-date.
 * Undefined if there is none, it is malformed, or its time is past.
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim();
  if (!text) return undefined;
  if (/^\d+$/.test(text)) return Number(text.slice(0, MAX_DELTA_DIGITS)) * 1_000;
  // Only the three date forms of the RFC begin with a day's name; Date.parse alone would take far more. All are in
  // GMT, which the asctime form does not say.
  const isDate = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text);
  const at = isDate ? Date.parse(text.endsWith('GMT') ? text : `${text} GMT`) : Number.NaN;
  return at > nowMs ? at - nowMs : undefined;
}
