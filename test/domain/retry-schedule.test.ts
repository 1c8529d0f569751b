import fc from 'fast-check';
import {
  DEFAULT_JITTER,
  nextWaitMs,
  RETRY_PRESETS,
  type RetryPolicy,
  type RetryPreset,
  toRetryPolicy,
} from '../../src/domain/retry-schedule';

const policy: fc.Arbitrary<RetryPolicy> = fc.record({
  waitsMs: fc.array(fc.integer({ min: 0, max: 7 * 86_400_000 }), { maxLength: 50 }),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});
/** As Math.random gives them. */
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('a wait is its step of the schedule, longer by the jitter at most and never shorter', () => {
  fc.assert(
    fc.property(policy, random, (p, r) => {
      p.waitsMs.forEach((step, i) => {
        const wait = nextWaitMs(p, i + 1, r)!;
        expect(wait).toBeGreaterThanOrEqual(step);
        expect(wait).toBeLessThanOrEqual(Math.ceil(step * (1 + p.jitter)));
      });
    }),
  );
});

test('a schedule ends after its last step, however many attempts were made', () => {
  fc.assert(
    fc.property(policy, fc.nat(1_000), random, (p, more, r) => {
      expect(nextWaitMs(p, p.waitsMs.length + 1 + more, r)).toBeUndefined();
    }),
  );
});

test('without jitter a wait is exact; with it, many deliveries are spread', () => {
  expect(nextWaitMs({ waitsMs: [10_000], jitter: 0 }, 1, 0.9)).toBe(10_000);
  const spread = new Set([0, 0.25, 0.5, 0.75].map((r) => nextWaitMs({ waitsMs: [10_000], jitter: 0.2 }, 1, r)));
  expect([...spread]).toEqual([10_000, 10_500, 11_000, 11_500]);
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
  expect(toRetryPolicy({ schedule_ms: [3, 1], jitter: 0 })).toEqual({ waitsMs: [3, 1], jitter: 0 });
});
