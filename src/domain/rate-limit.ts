import { formatDuration, parseDurationMs } from './durations';

/** `count` per `perMs` milliseconds. */
export type RateLimit = { count: number; perMs: number };

export const MAX_RATE_COUNT = 1_000_000;
export const MIN_RATE_PERIOD_MS = 1_000;
export const MAX_RATE_PERIOD_MS = 86_400_000;

/** What a rate limit looks like, for the message of an error. */
export const RATE_LIMIT_RULE = 'must be a count from 1 to 1000000 and a duration from 1s to 1d, such as "100/1s"';

/** How a rate limit begins; what follows the slash is a duration. */
export const RATE = /^(\d{1,7})\/(.+)$/;

/** The rate limit that a text such as `"100/1m"` says; undefined if it is not one or is out of bounds. */
export function parseRateLimit(text: string): RateLimit | undefined {
  const [, digits, duration] = RATE.exec(text) ?? [];
  if (!digits || !duration) return undefined;
  const count = Number(digits);
  const perMs = parseDurationMs(duration);
  if (count < 1 || count > MAX_RATE_COUNT) return undefined;
  if (perMs === undefined || perMs < MIN_RATE_PERIOD_MS || perMs > MAX_RATE_PERIOD_MS) return undefined;
  return { count, perMs };
}

/** The text of a rate limit: `{ count: 100, perMs: 60000 }` → `"100/1m"`. */
export function formatRateLimit({ count, perMs }: RateLimit): string {
  return `${count}/${formatDuration(perMs)}`;
}

/** A tenth of the limit may go at once; the rest is spread. */
const BURST_SHARE = 10;

/**
 * The token bucket that keeps to a limit in every window of its length, wherever that window begins: a burst and what
 * trickles in after it add up to the count, never to twice of it.
 */
export function toTokenBucket({ count, perMs }: RateLimit): { ratePerSecond: number; burst: number } {
  const burst = Math.max(1, Math.floor(count / BURST_SHARE));
  return { ratePerSecond: ((count - burst + 1) * 1_000) / perMs, burst };
}
