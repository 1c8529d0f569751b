import { parseRateLimit } from '../../src/domain/rate-limit';
import { pageSize } from '../../src/domain/replay';

test.each([
  ['1/1s', 1],
  ['30/1s', 30],
  ['100/1s', 100],
  ['101/1s', 100],
  ['1000000/1s', 100],
  ['150/1m', 2],
  ['100/1d', 1],
])('a page at %s has %d', (rate, size) => {
  expect(pageSize(parseRateLimit(rate)!)).toBe(size);
});
