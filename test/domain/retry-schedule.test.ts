import fc from 'fast-check';
import {
  DEFAULT_JITTER,
  MAX_RETRY_AFTER_MS,
  nextWaitMs,
  RETRY_PRESETS,
  type RetryPolicy,
  type RetryPreset,
  toRetryPolicy,
} from '../../src/domain/retry-schedule';

const DAY = 86_400_000;

const policy: fc.Arbitrary<RetryPolicy> = fc.record(
  {
    waitsMs: fc.array(fc.integer({ min: 0, max: 7 * DAY }), { maxLength: 50 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    maxDurationMs: fc.integer({ min: 0, max: 30 * DAY }),
    clientErrors: fc.constantFrom('retry', 'fail'),
  },
  { requiredKeys: ['waitsMs', 'jitter', 'clientErrors'] },
);
const untimed = policy.map(({ maxDurationMs: _, ...rest }): RetryPolicy => rest);
/** As Math.random gives them. */
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const retryAfterMs = fc.option(fc.integer({ min: 0, max: 99_999_999_000 }), { nil: undefined });

const plain = (waitsMs: number[], jitter: number): RetryPolicy => ({ waitsMs, jitter, clientErrors: 'retry' });

test('a wait is its step of the schedule, longer by the jitter at most and never shorter', () => {
  fc.assert(
    fc.property(untimed, random, fc.nat(30 * DAY), (p, r, elapsedMs) => {
      p.waitsMs.forEach((step, i) => {
        const wait = nextWaitMs(p, { attemptsMade: i + 1, elapsedMs, random: r })!;
        expect(wait).toBeGreaterThanOrEqual(step);
        expect(wait).toBeLessThanOrEqual(Math.ceil(step * (1 + p.jitter)));
      });
    }),
  );
});

test('Retry-After makes a wait longer up to a bound, and never shorter', () => {
  fc.assert(
    fc.property(untimed, random, fc.nat(99_999_999_000), (p, r, asked) => {
      p.waitsMs.forEach((_, i) => {
        const moment = { attemptsMade: i + 1, elapsedMs: 0, random: r };
        const own = nextWaitMs(p, moment)!;
        expect(nextWaitMs(p, { ...moment, retryAfterMs: asked })).toBe(
          Math.max(own, Math.min(asked, MAX_RETRY_AFTER_MS)),
        );
      });
    }),
  );
});

test('a schedule ends after its last step, however many attempts were made', () => {
  fc.assert(
    fc.property(policy, fc.nat(1_000), random, retryAfterMs, (p, more, r, asked) => {
      const attemptsMade = p.waitsMs.length + 1 + more;
      expect(nextWaitMs(p, { attemptsMade, elapsedMs: 0, random: r, retryAfterMs: asked })).toBeUndefined();
    }),
  );
});

test('whatever receivers ask for, a delivery ends, its waits are not negative and their sum is within max_duration', () => {
  fc.assert(
    fc.property(policy, fc.infiniteStream(fc.tuple(random, retryAfterMs)), (p, moments) => {
      let elapsedMs = 0;
      let attemptsMade = 0;
      for (const [r, asked] of moments) {
        attemptsMade++;
        const wait = nextWaitMs(p, { attemptsMade, elapsedMs, random: r, retryAfterMs: asked });
        if (wait === undefined) break;
        expect(wait).toBeGreaterThanOrEqual(0);
        elapsedMs += wait;
      }
      expect(attemptsMade).toBeLessThanOrEqual(p.waitsMs.length + 1);
      expect(elapsedMs).toBeLessThanOrEqual(p.maxDurationMs ?? p.waitsMs.length * 14 * DAY);
    }),
  );
});

test('without jitter a wait is exact; with it, many deliveries are spread', () => {
  const first = { attemptsMade: 1, elapsedMs: 0 };
  expect(nextWaitMs(plain([10_000], 0), { ...first, random: 0.9 })).toBe(10_000);
  const spread = new Set([0, 0.25, 0.5, 0.75].map((r) => nextWaitMs(plain([10_000], 0.2), { ...first, random: r })));
  expect([...spread]).toEqual([10_000, 10_500, 11_000, 11_500]);
});

test('a growing interval stops growing at its limit and ends after its attempts', () => {
  const grown = toRetryPolicy({ initial_ms: 1_000, factor: 3, max_interval_ms: 20_000, max_attempts: 6 });
  expect(grown.waitsMs).toEqual([1_000, 3_000, 9_000, 20_000, 20_000]);
  fc.assert(
    fc.property(
      fc.record({
        initial_ms: fc.integer({ min: 0, max: 7 * DAY }),
        factor: fc.double({ min: 1, max: 100, noNaN: true }),
        max_interval_ms: fc.integer({ min: 0, max: 7 * DAY }),
        max_attempts: fc.integer({ min: 1, max: 51 }),
      }),
      (stored) => {
        const { waitsMs } = toRetryPolicy(stored);
        expect(waitsMs).toHaveLength(stored.max_attempts - 1);
        expect(waitsMs).toEqual([...waitsMs].sort((a, b) => a - b));
        for (const wait of waitsMs) expect(wait).toBeLessThanOrEqual(stored.max_interval_ms);
      },
    ),
  );
});

test('the standard preset is the schedule that Standard Webhooks suggests', () => {
  const hours = (n: number) => n * 3_600_000;
  expect(RETRY_PRESETS.standard).toEqual([
    5_000,
    300_000,
    1_800_000,
    ...[hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)],
  ]);
});

test.each(Object.keys(RETRY_PRESETS) as RetryPreset[])('the preset %s waits longer each time', (preset) => {
  const { waitsMs, jitter } = toRetryPolicy({ preset });
  expect(jitter).toBe(DEFAULT_JITTER);
  expect(waitsMs).toEqual([...waitsMs].sort((a, b) => a - b));
});

test('a policy of one’s own keeps its waits and its jitter, zero included', () => {
  expect(toRetryPolicy({ schedule_ms: [3, 1], jitter: 0 })).toEqual({
    waitsMs: [3, 1],
    jitter: 0,
    clientErrors: 'retry',
  });
});
