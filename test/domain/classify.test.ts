import fc from 'fast-check';
import { classify, healthSignalOf, isSuccess, type PostResult, type SchedulePosition } from '../../src/domain/classify';
import type { RetryPolicy } from '../../src/domain/retry-schedule';

const policy: RetryPolicy = { waitsMs: [1_000, 2_000], jitter: 0, clientErrors: 'retry' };
const first: SchedulePosition = { kind: 'scheduled', attemptsMade: 1, elapsedMs: 0, random: 0 };
const last: SchedulePosition = { kind: 'scheduled', attemptsMade: 3, elapsedMs: 0, random: 0 };
const byHand: SchedulePosition = { kind: 'manual', remainingWaitMs: 77, elapsedMs: 0 };
const timeout: PostResult = { errorCode: 'headers_timeout', blocked: false };
const blocked: PostResult = { errorCode: 'blocked_address', blocked: true };

test('2xx is success, and nothing else is', () => {
  for (let statusCode = 100; statusCode <= 599; statusCode++) {
    expect(isSuccess({ statusCode })).toBe(String(statusCode).startsWith('2'));
  }
  expect(isSuccess(timeout)).toBe(false);
});

test.each<[string, PostResult, SchedulePosition, object]>([
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
  ['503 with Retry-After', { statusCode: 503, retryAfterMs: 60_000 }, first, { kind: 'retry', waitMs: 60_000 }],
  [
    '503 with Retry-After to an attempt by hand',
    { statusCode: 503, retryAfterMs: 60_000 },
    byHand,
    { kind: 'retry', waitMs: 60_000 },
  ],
  [
    '429 with a Retry-After that is over before the wait is, to an attempt by hand',
    { statusCode: 429, retryAfterMs: 50 },
    byHand,
    { kind: 'retry', waitMs: 77 },
  ],
  [
    'a redirect with a Retry-After of a week, to an attempt by hand',
    { statusCode: 302, retryAfterMs: 7 * 86_400_000 },
    byHand,
    { kind: 'retry', waitMs: 86_400_000 },
  ],
  ['no answer', timeout, first, { kind: 'retry', waitMs: 1_000 }],
  ['no answer to the last attempt', timeout, last, { kind: 'failed', reason: 'exhausted' }],
  ['an address that is blocked', blocked, first, { kind: 'failed', reason: 'blocked' }],
  ['an address that is blocked, by hand', blocked, byHand, { kind: 'failed', reason: 'blocked' }],
])('%s', (_what, result, position, verdict) => {
  expect(classify(result, policy, position)).toEqual(verdict);
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
        const verdict = classify(answer, { ...policy, waitsMs, jitter: 1 }, { ...first, attemptsMade, random: 0.5 });
        if (verdict.kind !== 'retry') break;
        expect(attemptsMade).toBeLessThanOrEqual(waitsMs.length);
      }
      expect(attemptsMade).toBeLessThanOrEqual(waitsMs.length + 1);
    }),
  );
});

describe('client_errors: fail', () => {
  const failing: RetryPolicy = { ...policy, clientErrors: 'fail' };

  test.each([400, 401, 403, 404, 409, 413, 422, 451])('%i ends the delivery', (statusCode) => {
    expect(classify({ statusCode }, failing, first)).toEqual({ kind: 'failed', reason: 'client_error' });
    expect(classify({ statusCode }, failing, byHand)).toEqual({ kind: 'failed', reason: 'client_error' });
  });

  test.each([301, 408, 425, 429, 500, 503])('%i is tried again', (statusCode) => {
    expect(classify({ statusCode }, failing, first)).toEqual({ kind: 'retry', waitMs: 1_000 });
  });
});

test('no attempt is scheduled past max_duration', () => {
  const limited: RetryPolicy = { ...policy, maxDurationMs: 2_500 };
  expect(classify({ statusCode: 500 }, limited, { ...first, elapsedMs: 1_500 })).toEqual({
    kind: 'retry',
    waitMs: 1_000,
  });
  expect(classify({ statusCode: 500 }, limited, { ...first, elapsedMs: 1_501 })).toEqual({
    kind: 'failed',
    reason: 'exhausted',
  });
});

test('a Retry-After past max_duration ends the delivery, whether the attempt was scheduled or by hand', () => {
  const limited: RetryPolicy = { ...policy, maxDurationMs: 2_500 };
  const late: PostResult = { statusCode: 503, retryAfterMs: 2_000 };
  for (const position of [first, byHand]) {
    expect(classify(late, limited, { ...position, elapsedMs: 500 })).toEqual({ kind: 'retry', waitMs: 2_000 });
    expect(classify(late, limited, { ...position, elapsedMs: 501 })).toEqual({ kind: 'failed', reason: 'exhausted' });
  }
  // The wait that was running is within it.
  const kept = classify({ statusCode: 500 }, limited, { ...byHand, elapsedMs: 2_499 });
  expect(kept).toEqual({ kind: 'retry', waitMs: 77 });
});

test.each<[string, PostResult, object]>([
  ['204', { statusCode: 204 }, { health: 'good', timedOut: false, gone: false }],
  ['404', { statusCode: 404 }, { health: 'bad', timedOut: false, gone: false }],
  ['410', { statusCode: 410 }, { health: 'bad', timedOut: false, gone: true }],
  ['500', { statusCode: 500 }, { health: 'bad', timedOut: false, gone: false }],
  ['429', { statusCode: 429 }, { health: 'busy', timedOut: false, gone: false, slowDown: { retryAfterMs: undefined } }],
  ['502', { statusCode: 502 }, { health: 'bad', timedOut: false, gone: false, slowDown: { retryAfterMs: undefined } }],
  ['504', { statusCode: 504 }, { health: 'bad', timedOut: false, gone: false, slowDown: { retryAfterMs: undefined } }],
  [
    '503 with Retry-After',
    { statusCode: 503, retryAfterMs: 5_000 },
    { health: 'busy', timedOut: false, gone: false, slowDown: { retryAfterMs: 5_000 } },
  ],
  ['200 with Retry-After', { statusCode: 200, retryAfterMs: 5_000 }, { health: 'good', timedOut: false, gone: false }],
  ['no answer in time', timeout, { health: 'bad', timedOut: true, gone: false }],
  [
    'a refused connection',
    { errorCode: 'connection_refused', blocked: false },
    { health: 'bad', timedOut: false, gone: false },
  ],
  [
    'no connection of ours',
    { errorCode: 'no_free_connection', blocked: false },
    { health: 'none', timedOut: false, gone: false },
  ],
  ['a blocked address', blocked, { health: 'none', timedOut: false, gone: false }],
])('%s as a sign of the endpoint’s health', (_what, result, sign) => {
  expect(healthSignalOf(result)).toEqual(sign);
});
