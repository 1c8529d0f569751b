import { FORMAT_CHECKS } from '../../src/api/publish/formats';
import type { Format } from '../../src/domain/data-schema';
import { parseTime } from '../../src/domain/rfc3339';

test.each<[Format, string[]]>([
  [
    'date-time',
    [
      ...['2026-01-31T12:00:00Z', '2026-01-31t12:00:00z', '2026-01-31T12:00:00.123456789012Z'],
      ...['2026-01-31T12:00:00+05:45', '2026-01-31T23:59:59-23:59', '2026-01-31T12:00:00-00:00'],
      ...['2016-12-31T23:59:60Z', '1998-12-31T15:59:60.123-08:00', '2017-01-01T05:29:60+05:30', '0000-02-29T00:00:00Z'],
    ],
  ],
  ['date', ['2024-02-29', '2000-02-29', '0001-01-01']],
  ['time', ['12:00:00Z', '23:59:60Z', '15:59:60-08:00', '00:29:60+00:30', '08:30:06.283185z']],
  ['email', ['joe.bloggs@example.com', 'te~st@example.com', "o'hara+x@sub.example.org"]],
  ['hostname', ['example.com', 'xn--mnchen-3ya.example', 'a.b-c.example', '1host']],
  ['ipv4', ['192.168.0.1', '0.0.0.0', '255.255.255.255']],
  ['ipv6', ['::1', '2001:db8::ff', '::ffff:192.168.0.1']],
  ['uri', ['https://example.com/a?b#c', 'urn:isbn:0451450523', 'http://[2001:db8::7]/c', 'mailto:a@example.com']],
  ['uri-reference', ['/a/b?c', '../x', '#top', 'https://example.com/']],
  ['uuid', ['2eb8aa08-aa98-11ea-b4aa-73b441d16380', '2EB8AA08-AA98-11EA-B4AA-73B441D16380']],
  ['duration', ['P1Y2M3DT4H5M6S', 'PT0S', 'P2W']],
  ['json-pointer', ['', '/a~1b/0', '/~0']],
])('%s takes %j', (format, texts) => {
  expect(texts.filter((text) => !FORMAT_CHECKS[format](text))).toEqual([]);
});

test.each<[Format, string[]]>([
  [
    'date-time',
    [
      ...['2026-01-31T99:00:00Z', '2026-01-31T24:00:00Z', '2026-01-31T12:60:00Z', '2026-01-31T12:00:61Z'],
      ...['2026-02-29T12:00:00Z', '2026-13-01T12:00:00Z', '2026-00-01T12:00:00Z', '2026-01-00T12:00:00Z'],
      ...['2026-01-31 12:00:00Z', '2026-01-31T12:00:00', '2026-01-31T12:00Z', '2026-01-31T12:00:00.Z'],
      ...[
        '2026-01-31T12:00:00+01',
        '2026-01-31T12:00:00+0100',
        '2026-01-31T12:00:00+24:00',
        '2026-01-31T12:00:00+01:60',
      ],
      ...['2016-12-31T23:58:60Z', '2016-12-31T22:59:60Z', '2016-12-30T23:59:60Z', '2016-12-31T23:59:60+01:00'],
      ...['2026-01-31T12:00:00Z\n', ' 2026-01-31T12:00:00Z', '26-01-31T12:00:00Z', '2026-01-31T12:00:0٣Z'],
    ],
  ],
  ['date', ['2023-02-29', '1900-02-29', '2026-1-01', '2026-01-32', '2026-01-01Z']],
  ['time', ['12:00:00', '24:00:00Z', '12:00:60Z', '12:00:00+1', '08:30:06 PST']],
  ['email', ['a@b@c.example', '.a@example.com', 'te..st@example.com', 'a@', '@example.com', 'a b@example.com']],
  ['hostname', ['-a.example', 'a_b', 'a..b', `${'a'.repeat(64)}.example`, '']],
  ['ipv4', ['256.0.0.1', '01.1.1.1', '1.1.1', '1.1.1.1/8']],
  ['ipv6', ['1::2::3', '12345::', ':2:3:4:5:6:7:8', 'fe80::1%eth0']],
  [
    'uri',
    ['http://a b/', 'http://a/{x}', '/a', 'bar,baz:foo', 'http://münchen.example/', `http://a/${'x'.repeat(2_048)}`],
  ],
  ['uri-reference', ['\\\\a\\b', 'a b', 'a{b}']],
  ['uuid', ['2eb8aa08aa9811eab4aa73b441d16380', 'urn:uuid:2eb8aa08-aa98-11ea-b4aa-73b441d16380', '2eb8aa08-aa98']],
  ['duration', ['P', 'PT', 'P1', 'P1Y2W', '1D']],
  ['json-pointer', ['a', '/~2', '/~']],
])('%s refuses %j', (format, texts) => {
  expect(texts.filter((text) => FORMAT_CHECKS[format](text))).toEqual([]);
});

test('a time is an instant, whatever its offset, its case and its digits', () => {
  const instant = (text: string) => new Date(parseTime(text)!).toISOString();
  expect(instant('2026-01-31t12:00:00.5z')).toBe('2026-01-31T12:00:00.500Z');
  expect(instant('2026-01-31T00:00:00+05:45')).toBe('2026-01-30T18:15:00.000Z');
  expect(instant('2026-01-31T23:59:59.9999999-08:00')).toBe('2026-02-01T07:59:59.999Z');
  expect(instant('2016-12-31T23:59:60Z')).toBe('2017-01-01T00:00:00.000Z');
  expect(instant('1990-12-31T15:59:60.25-08:00')).toBe('1991-01-01T00:00:00.250Z');
  expect(instant('0099-01-01T00:00:00Z')).toBe('0099-01-01T00:00:00.000Z');
});
