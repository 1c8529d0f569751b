import fc from 'fast-check';
import { formatRateLimit, parseRateLimit, type RateLimit, toTokenBucket } from '../../src/domain/rate-limit';

test.each([
  ['100/1s', 100, 1_000],
  ['100/1m', 100, 60_000],
  ['1/1d', 1, 86_400_000],
  ['1000000/1s', 1_000_000, 1_000],
  ['5/1.5s', 5, 1_500],
  ['5/2000ms', 5, 2_000],
])('%s is %d in %d ms', (text, count, perMs) => {
  expect(parseRateLimit(text)).toEqual({ count, perMs });
});

test.each([
  '',
  '100',
  '/1s',
  '100/',
  '100/s',
  '0/1s',
  '1000001/1s',
  '10000000/1s',
  '-1/1s',
  '1.5/1s',
  '1/999ms',
  '1/0s',
  '1/25h',
  '1/2d',
  ' 1/1s',
  '1/1s ',
  '1/1s/1s',
])('%j is no rate limit', (text) => {
  expect(parseRateLimit(text)).toBeUndefined();
});

test('what is written is read as it was', () => {
  const limits = fc.record({
    count: fc.integer({ min: 1, max: 1_000_000 }),
    perMs: fc.integer({ min: 1_000, max: 86_400_000 }),
  });
  fc.assert(fc.property(limits, (limit) => expect(parseRateLimit(formatRateLimit(limit))).toEqual(limit)));
});

describe('the token bucket of a limit', () => {
  /** Small counts and large ones alike; what is let through is simulated one by one. */
  const limit = fc.record({
    count: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3_000 })),
    perMs: fc.integer({ min: 1_000, max: 86_400_000 }),
  });
  /** Gaps between askers, in tenths of a percent of the window: from crowds to long silences. */
  const gaps = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 3_000 })), {
    minLength: 1,
    maxLength: 400,
  });

  /** When each of those is let through who ask at these times, in milliseconds (GCRA, as the claim has it). */
  function letThrough({ ratePerSecond, burst }: ReturnType<typeof toTokenBucket>, asksMs: Iterable<number>): number[] {
    const tokenMs = 1_000 / ratePerSecond;
    const passed: number[] = [];
    let tat = Number.NEGATIVE_INFINITY;
    for (const atMs of asksMs) {
      if (tat > atMs - tokenMs) continue;
      tat = Math.max(tat, atMs - burst * tokenMs) + tokenMs;
      passed.push(atMs);
    }
    return passed;
  }

  /** Times are sums of fractions: one that is to be the window's end may come out this much before it. */
  const ROUNDING_MS = 0.001;

  /** The most that any window of this length holds; it begins with one of them. */
  function mostInWindow(timesMs: number[], { perMs }: RateLimit): number {
    let most = 0;
    let end = 0;
    for (const [begin, atMs] of timesMs.entries()) {
      while (end < timesMs.length && timesMs[end]! < atMs + perMs - ROUNDING_MS) end++;
      most = Math.max(most, end - begin);
    }
    return most;
  }

  test('lets no more than the count through in any window, whoever asks when', () => {
    fc.assert(
      fc.property(limit, gaps, fc.integer({ min: 1, max: 60 }), (given, pauses, crowd) => {
        let atMs = 0;
        const asks = pauses.flatMap((gap) => {
          atMs += (gap * given.perMs) / 1_000;
          return Array<number>(crowd).fill(atMs);
        });
        const bucket = toTokenBucket(given);
        // And then, from wherever that left the bucket, someone always asks.
        const always = Array.from({ length: 6 * given.count }, (_, i) => atMs + (i * 250) / bucket.ratePerSecond);
        expect(mostInWindow(letThrough(bucket, [...asks, ...always]), given)).toBeLessThanOrEqual(given.count);
      }),
    );
  });

  // count - floor(count / 10) + 1 tokens come in a window: all of the count below 20, and above it more than nine tenths.
  test('lets nine tenths of the count through in the long run where always someone asks, and all of it below 20', () => {
    const WINDOWS = 5;
    fc.assert(
      fc.property(limit, (given) => {
        const bucket = toTokenBucket(given);
        // Someone asks just after each token has come.
        const asks = Array.from(
          { length: WINDOWS * given.count },
          (_, i) => ((i + 1) * 1_000.001) / bucket.ratePerSecond,
        );
        const passed = letThrough(bucket, [...Array<number>(bucket.burst).fill(0), ...asks]);
        const afterBurst = passed.filter((atMs) => atMs > 0 && atMs <= WINDOWS * given.perMs);
        const whole = WINDOWS * given.count;
        // The last token of all comes just too late.
        expect(afterBurst.length).toBeGreaterThanOrEqual(given.count < 20 ? whole - 1 : 0.9 * whole);
        expect(mostInWindow(passed, given)).toBeLessThanOrEqual(given.count);
      }),
      { numRuns: 200 },
    );
  });
});
