import fc from 'fast-check';
import { retryAfterMs } from '../../src/domain/retry-after';

const NOW = Date.parse('2026-03-01T12:00:00Z');

test.each([
  ['120', 120_000],
  [' 5 ', 5_000],
  ['0', 0],
  ['99999999', 99_999_999_000],
  ['Sun, 01 Mar 2026 12:00:30 GMT', 30_000], // IMF-fixdate
  ['Sunday, 01-Mar-26 12:00:30 GMT', 30_000], // RFC 850
  ['Sun Mar  1 12:00:30 2026', 30_000], // asctime
])('%j asks for %p ms', (header, ms) => {
  expect(retryAfterMs(header, NOW)).toBe(ms);
});

test.each([
  undefined,
  '',
  'soon',
  '-5',
  '1.5',
  '1e3',
  '0x10',
  '2026-03-02',
  '12 s',
  'Sunday',
  'Sun, 01 Mar 2026 11:59:59 GMT',
])('%j asks for nothing', (header) => expect(retryAfterMs(header, NOW)).toBeUndefined());

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
