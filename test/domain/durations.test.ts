import fc from 'fast-check';
import { formatDuration, parseDurationMs } from '../../src/domain/durations';

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['3d', 259_200_000],
  ['1.5s', 1_500],
  ['0s', 0],
])('%s is %d ms', (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});

test.each([
  '',
  '5',
  's',
  '-5s',
  '+5s',
  '5 s',
  ' 5s',
  '5s ',
  '5S',
  '5sec',
  '1e3s',
  '5.s',
  '.5s',
  'Infinitys',
  '5w',
  '5s5s',
  '5s\n',
])('%j is no duration', (text) => {
  expect(parseDurationMs(text)).toBeUndefined();
});

test('what is written is read back exactly', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999 }), (ms) => {
      expect(parseDurationMs(formatDuration(ms))).toBe(ms);
    }),
  );
});

test.each([
  [0, '0ms'],
  [999, '999ms'],
  [90_000, '90s'],
  [3_600_000, '1h'],
  [86_400_000, '1d'],
  [86_400_001, '86400001ms'],
])('%d ms is written %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
