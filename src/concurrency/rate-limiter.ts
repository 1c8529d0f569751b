import type { RateLimit } from '../domain/rate-limit';

/** What came of asking for one turn. */
export type Turn = {
  allowed: boolean;
  /** Whole turns that are left now. */
  remaining: number;
  /** Until all turns are there again, milliseconds. */
  fullInMs: number;
  /** Until the next turn; 0 where one is left. */
  nextInMs: number;
};

export type Limiter = {
  take(key: string): Turn;
  /** Undoes a `take` that was allowed. */
  giveBack(key: string): void;
};

type Bucket = { turns: number; atMs: number };

/**
 * Token buckets in memory, one per key: `count` turns at once, which come back evenly over `perMs`. So a window of that
 * length sees at most twice the count. At most `maxKeys` are remembered; the one that was not used for longest goes
 * first, and is full when it comes again.
 */
export function createLimiter(
  { count, perMs }: RateLimit,
  maxKeys: number,
  nowMs: () => number = () => performance.now(),
): Limiter {
  const buckets = new Map<string, Bucket>();
  const msPerTurn = perMs / count;

  function look(key: string): Bucket {
    const atMs = nowMs();
    const known = buckets.get(key);
    return { turns: known ? Math.min(count, known.turns + (atMs - known.atMs) / msPerTurn) : count, atMs };
  }

  /** Maps keep the order of insertion, so the first one is the one not used for longest. */
  function keep(key: string, bucket: Bucket): void {
    buckets.delete(key);
    if (buckets.size >= maxKeys) buckets.delete(buckets.keys().next().value!);
    buckets.set(key, bucket);
  }

  return {
    take(key) {
      const bucket = look(key);
      const allowed = bucket.turns >= 1;
      if (allowed) bucket.turns -= 1;
      keep(key, bucket);
      return {
        allowed,
        remaining: Math.floor(bucket.turns),
        fullInMs: (count - bucket.turns) * msPerTurn,
        nextInMs: Math.max(0, (1 - bucket.turns) * msPerTurn),
      };
    },
    giveBack(key) {
      const bucket = look(key);
      keep(key, { ...bucket, turns: Math.min(count, bucket.turns + 1) });
    },
  };
}
