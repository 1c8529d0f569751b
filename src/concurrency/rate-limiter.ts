import type { RateLimit } from '../domain/rate-limit';

/** The answer to asking for one token. */
export type Permit = {
  allowed: boolean;
  /** Whole tokens that are left. */
  remaining: number;
  /** Until the bucket is full again, milliseconds. */
  fullInMs: number;
  /** Until there is a token, milliseconds; 0 if one is left. */
  nextInMs: number;
};

export type Limiter = {
  take(key: string): Permit;
  /** Undoes a `take` that was allowed. */
  refund(key: string): void;
};

type Bucket = { tokens: number; atMs: number };

/**
 * Token buckets in memory, one per key: `count` tokens at once, refilled evenly over `perMs`. So a window of that length
 * sees at most twice the count. At most `maxKeys` buckets are kept; the least recently used one is dropped first, and is
 * full if its key comes again.
 */
export function createLimiter(
  { count, perMs }: RateLimit,
  maxKeys: number,
  nowMs: () => number = () => performance.now(),
): Limiter {
  const buckets = new Map<string, Bucket>();
  const msPerToken = perMs / count;

  function look(key: string): Bucket {
    const atMs = nowMs();
    const known = buckets.get(key);
    return { tokens: known ? Math.min(count, known.tokens + (atMs - known.atMs) / msPerToken) : count, atMs };
  }

  /** Maps keep the order of insertion, so the first key is the least recently used one. */
  function keep(key: string, bucket: Bucket): void {
    buckets.delete(key);
    if (buckets.size >= maxKeys) buckets.delete(buckets.keys().next().value!);
    buckets.set(key, bucket);
  }

  return {
    take(key) {
      const bucket = look(key);
      const allowed = bucket.tokens >= 1;
      if (allowed) bucket.tokens -= 1;
      keep(key, bucket);
      return {
        allowed,
        remaining: Math.floor(bucket.tokens),
        fullInMs: (count - bucket.tokens) * msPerToken,
        nextInMs: Math.max(0, (1 - bucket.tokens) * msPerToken),
      };
    },
    refund(key) {
      const bucket = look(key);
      keep(key, { ...bucket, tokens: Math.min(count, bucket.tokens + 1) });
    },
  };
}
