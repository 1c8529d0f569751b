import fc from 'fast-check';
import { formatRateLimit, parseRateLimit } from '../../src/domain/rate-limit';

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
