import fc from 'fast-check';
import { type AttemptPlace, classify, isSuccess, type PostResult } from '../../src/domain/classify';

const policy = { waitsMs: [1_000, 2_000], jitter: 0 };
const first: AttemptPlace = { kind: 'scheduled', attemptsMade: 1, random: 0 };
const last: AttemptPlace = { kind: 'scheduled', attemptsMade: 3, random: 0 };
const byHand: AttemptPlace = { kind: 'manual', remainingWaitMs: 77 };
const timeout: PostResult = { errorCode: 'headers_timeout', blocked: false };
const blocked: PostResult = { errorCode: 'blocked_address', blocked: true };

test('2xx is success, and nothing else is', () => {
  for (let statusCode = 100; statusCode <= 599; statusCode++) {
    expect(isSuccess({ statusCode })).toBe(String(statusCode).startsWith('2'));
  }
  expect(isSuccess(timeout)).toBe(false);
});

test.each<[string, PostResult, AttemptPlace, object]>([
  ['200', { statusCode: 200 }, first, { kind: 'delivered' }],
  ['200 to the last attempt', { statusCode: 200 }, last, { kind: 'delivered' }],
  ['200 to an attempt by hand', { statusCode: 200 }, byHand, { kind: 'delivered' }],
  ['a redirect', { statusCode: 302 }, first, { kind: 'retry', waitMs: 1_000 }],
  ['404', { statusCode: 404 }, first, { kind: 'retry', waitMs: 1_000 }],
  ['410', { statusCode: 410 }, first, { kind: 'failed', reason: 'gone' }],
  ['410 to an attempt by hand', { statusCode: 410 }, byHand, { kind: 'failed', reason: 'gone' }],
  ['503', { statusCode: 503 }, first, { kind: 'retry', waitMs: 1_000 }],
  ['503 to the last attempt', { statusCode: 503 }, last, { kind: 'failed', reason: 'exhausted' }],
  ['503 to an attempt by hand', { statusCode: 503 }, byHand, { kind: 'retry', waitMs: 77 }],
  ['no answer', timeout, first, { kind: 'retry', waitMs: 1_000 }],
  ['no answer to the last attempt', timeout, last, { kind: 'failed', reason: 'exhausted' }],
  ['an address that is blocked', blocked, first, { kind: 'failed', reason: 'blocked' }],
  ['an address that is blocked, by hand', blocked, byHand, { kind: 'failed', reason: 'blocked' }],
])('%s', (_what, result, place, verdict) => {
  expect(classify(result, policy, place)).toEqual(verdict);
});

test('scheduled attempts come to an end whatever the receiver says', () => {
  const result = fc.oneof(
    fc.integer({ min: 100, max: 599 }).map((statusCode) => ({ statusCode })),
    fc.boolean().map((isBlocked) => ({ errorCode: 'x', blocked: isBlocked })),
  );
  fc.assert(
    fc.property(fc.infiniteStream(result), fc.array(fc.nat(1_000), { maxLength: 50 }), (results, waitsMs) => {
      let attemptsMade = 0;
      for (const answer of results) {
        attemptsMade++;
        const verdict = classify(answer, { waitsMs, jitter: 1 }, { kind: 'scheduled', attemptsMade, random: 0.5 });
        if (verdict.kind !== 'retry') break;
        expect(attemptsMade).toBeLessThanOrEqual(waitsMs.length);
      }
      expect(attemptsMade).toBeLessThanOrEqual(waitsMs.length + 1);
    }),
  );
});
