import fc from 'fast-check';
import { askedPauseMs } from '../../src/domain/classify';
import { retryAfterMs } from '../../src/domain/retry-after';

const NOW = Date.parse('2026-03-01T12:00:00Z');

test.each([
  ['120', 120_000],
  [' 5 ', 5_000],
  ['0', 0],
  ['99999999', 99_999_999_000],
  // Fractions, and many digits.
  ['1.5', 1_500],
  ['0.25', 250],
  ['.5', 500],
  ['3.', 3_000],
  ['0.0001', 1],
  ['00000000000000000120', 120_000],
  ['120.000000000000', 120_000],
  ['9'.repeat(400), 10 ** 13],
  ['Sun, 01 Mar 2026 12:00:30 GMT', 30_000], // IMF-fixdate
  ['Sunday, 01-Mar-26 12:00:30 GMT', 30_000], // RFC 850
  ['Sun Mar  1 12:00:30 2026', 30_000], // asctime
  // In any case, and a little off.
  ['sun, 01 mar 2026 12:00:30 gmt', 30_000],
  ['SUN, 01 MAR 2026 12:00:30 GMT', 30_000],
  ['Sun, 1 Mar 2026 12:00:30 UTC', 30_000],
  ['sunday, 01-mar-26 12:00:30 gmt', 30_000],
  ['sun mar  1 12:00:30 2026', 30_000],
  ['Sunday, 01-Mar-2026 12:00:30 GMT', 30_000],
  // It came more than once.
  ['5, 5', 5_000],
  ['5, 120', 120_000],
  ['Sun, 01 Mar 2026 12:00:30 GMT, 20', 30_000],
  ['20, Sunday, 01-Mar-26 12:00:30 GMT', 30_000],
  ['5, soon', 5_000],
  ['Sun, 01 Mar 2026 11:00:00 GMT, 7', 7_000],
])('%j asks for %p ms', (header, ms) => {
  expect(retryAfterMs(header, NOW)).toBe(ms);
});

test.each([
  '',
  'soon',
  '-5',
  '1e3',
  '0x10',
  '1.5.2',
  '2026-03-02',
  '2026-03-01T12:00:30Z',
  '12 s',
  'PT30S',
  'Sunday',
  'Sun, 01 Foo 2026 12:00:30 GMT',
  'Sun, 32 Mar 2026 12:00:30 GMT',
  'Sun, 01 Mar 2026 25:00:30 GMT',
  'Sun, 01 Mar 2026 12:00:30 +0200',
  ',',
])('%j cannot be read: the shortest throttle', (header) => {
  expect(retryAfterMs(header, NOW)).toBe(1_000);
  expect(retryAfterMs(header, NOW, null)).toBeUndefined();
});

test.each([
  undefined,
  'Sun, 01 Mar 2026 11:59:59 GMT',
  'Sunday, 06-Nov-94 08:49:37 GMT',
  // More than 50 years ahead: of the past century.
  'Sunday, 06-Nov-77 08:49:37 GMT',
])('%j asks for nothing', (header) => expect(retryAfterMs(header, NOW)).toBeUndefined());

test('beside a status that throttles by itself, one that cannot be read leaves the back-off to the gate', () => {
  for (const status of [429, 502, 504]) expect(askedPauseMs(status, 'soon', NOW)).toBeUndefined();
  for (const status of [301, 404, 500, 503]) expect(askedPauseMs(status, 'soon', NOW)).toBe(1_000);
  for (const status of [429, 503]) expect(askedPauseMs(status, '7', NOW)).toBe(7_000);
});

test('whatever is written there, the answer is a time to come or nothing', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.nat().map(String),
        fc.date({ noInvalidDate: true }).map((d) => d.toUTCString()),
      ),
      (text) => {
        const ms = retryAfterMs(text, NOW) ?? 0;
        expect(Number.isFinite(ms) && ms >= 0).toBe(true);
      },
    ),
  );
});
