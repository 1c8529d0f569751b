import fc from 'fast-check';
import { createLimiter } from '../../src/concurrency/rate-limiter';

function limiterAt(limit: { count: number; perMs: number }, maxKeys = 10) {
  const clock = { ms: 0 };
  return { clock, limiter: createLimiter(limit, maxKeys, () => clock.ms) };
}

test('the count goes at once, and comes back evenly', () => {
  const { clock, limiter } = limiterAt({ count: 4, perMs: 1_000 });
  const took = () => limiter.take('a').allowed;
  expect([took(), took(), took(), took(), took()]).toEqual([true, true, true, true, false]);
  clock.ms = 249;
  expect(took()).toBe(false);
  clock.ms = 250;
  expect([took(), took()]).toEqual([true, false]);
  clock.ms = 10_000;
  expect([took(), took(), took(), took(), took()]).toEqual([true, true, true, true, false]);
});

test('says what is left, when the next turn comes, and when all are there again', () => {
  const { clock, limiter } = limiterAt({ count: 2, perMs: 1_000 });
  expect(limiter.take('a')).toEqual({ allowed: true, remaining: 1, fullInMs: 500, nextInMs: 0 });
  expect(limiter.take('a')).toEqual({ allowed: true, remaining: 0, fullInMs: 1_000, nextInMs: 500 });
  clock.ms = 100;
  expect(limiter.take('a')).toEqual({ allowed: false, remaining: 0, fullInMs: 900, nextInMs: 400 });
});

test('keys have limits of their own', () => {
  const { limiter } = limiterAt({ count: 1, perMs: 1_000 });
  expect(limiter.take('a').allowed).toBe(true);
  expect(limiter.take('b').allowed).toBe(true);
  expect(limiter.take('a').allowed).toBe(false);
});

test('what is given back is there again, and never more than the count', () => {
  const { limiter } = limiterAt({ count: 1, perMs: 1_000 });
  limiter.take('a');
  limiter.refund('a');
  limiter.refund('a');
  expect([limiter.take('a').allowed, limiter.take('a').allowed]).toEqual([true, false]);
});

test('beyond its number of keys it forgets the one that was not used for longest', () => {
  const { limiter } = limiterAt({ count: 1, perMs: 1_000 }, 2);
  limiter.take('a');
  limiter.take('b');
  expect(limiter.take('a').allowed).toBe(false); // used again: b is now the older one
  limiter.take('c');
  expect(limiter.take('a').allowed).toBe(false);
  expect(limiter.take('b').allowed).toBe(true);
});

test('any window of its length sees at most twice the count', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 200 }),
      (count, waitsMs) => {
        const { clock, limiter } = limiterAt({ count, perMs: 1_000 });
        const went = waitsMs.flatMap((waitMs) => {
          clock.ms += waitMs;
          return limiter.take('a').allowed ? [clock.ms] : [];
        });
        for (const start of went) {
          expect(went.filter((at) => at >= start && at < start + 1_000).length).toBeLessThanOrEqual(2 * count);
        }
      },
    ),
  );
});
