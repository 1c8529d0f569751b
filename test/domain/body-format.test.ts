import fc from 'fast-check';
import { compactJson, formatJson } from '../../src/domain/body-format';

const asText = (format: 'exact' | 'compact' | 'javascript', json: string) =>
  formatJson(Buffer.from(json), format).toString('utf8');

describe('compact', () => {
  test.each<[given: string, compact: string]>([
    ['{ "a" : 1 , "b" : [ 1 , 2 ] }', '{"a":1,"b":[1,2]}'],
    ['{\r\n\t"a": {\n\t\t"b": null }\n}', '{"a":{"b":null}}'],
    ['{"a b":" \\" , : { } \\\\ "}', '{"a b":" \\" , : { } \\\\ "}'],
    ['{"a":"\\\\" , "b":"\\\\\\"  \\\\" }', '{"a":"\\\\","b":"\\\\\\"  \\\\"}'],
    ['{"n": 12345678901234567890, "f": 1.0, "e": 1E+2, "z": -0}', '{"n":12345678901234567890,"f":1.0,"e":1E+2,"z":-0}'],
    ['{"a": 1, "a": 2, "10": 0, "2": 0}', '{"a":1,"a":2,"10":0,"2":0}'],
    ['{"s": "\\u00e9 \\/ \\ud800 é 🦊 \u2028"}', '{"s":"\\u00e9 \\/ \\ud800 é 🦊 \u2028"}'],
    // White space only to Unicode, which JSON has in strings alone.
    ['{"nbsp": "\u00a0 \u3000"}', '{"nbsp":"\u00a0 \u3000"}'],
    ['{ }', '{}'],
    ['[ ]', '[]'],
  ])('%j is sent as %j', (given, compact) => {
    expect(asText('compact', given)).toBe(compact);
  });

  test('whatever the value, only white space between tokens goes, and what is compact stays', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5, stringUnit: 'binary' }), spaces, (json, pick) => {
        const loose = Buffer.from(
          tokens(json)
            .map((token) => pick() + token + pick())
            .join(''),
        );
        const compact = compactJson(loose);
        expect(compact.toString('utf8')).toBe(json);
        expect(compactJson(compact)).toEqual(compact);
      }),
    );
  });

  test('numbers keep their digits and strings their escapes', () => {
    const number = fc
      .tuple(fc.constantFrom('', '-'), digits, fc.option(digits), fc.option(fc.integer()))
      .map(
        ([sign, whole, fraction, power]) =>
          `${sign}${whole.replace(/^0+(?=\d)/, '')}${fraction === null ? '' : `.${fraction}`}${power === null ? '' : `E${power}`}`,
      );
    const text = fc
      .array(fc.constantFrom(' ', '\\"', '\\\\', '\\n', '\\u0020', '\\ud83e', 'é', '{', '[', ',', ':', '\\/'))
      .map((parts) => `"${parts.join('')}"`);
    fc.assert(
      fc.property(fc.array(fc.oneof(number, text)), spaces, (values, pick) => {
        const loose = `[${pick()}${values.map((value) => value + pick()).join(`,${pick()}`)}]`;
        expect(asText('compact', loose)).toBe(`[${values.join(',')}]`);
      }),
    );
  });
});

describe('javascript', () => {
  test.each<[given: string, rewritten: string]>([
    ['{ "a" : 1.0, "b": 1E2, "c": -0, "d": 12345678901234567890 }', '{"a":1,"b":100,"c":0,"d":12345678901234567000}'],
    [
      '{"big": 1e400, "small": 1e-400, "long": 0.1000000000000000055, "e": 1e21}',
      '{"big":null,"small":0,"long":0.1,"e":1e+21}',
    ],
    ['{"b": 1, "10": 2, "9": 3, "a": 4, "b": 5, "01": 6}', '{"9":3,"10":2,"b":5,"a":4,"01":6}'],
    ['{"__proto__": {"x": 1}, "constructor": 2, "toString": 3}', '{"__proto__":{"x":1},"constructor":2,"toString":3}'],
    ['{"s": "\\u00e9\\/\\ud83e\\udd8a\\u0007", "half": "\\ud800"}', '{"s":"é/🦊\\u0007","half":"\\ud800"}'],
  ])('%j is sent as %j', (given, rewritten) => {
    expect(asText('javascript', given)).toBe(rewritten);
    expect(JSON.stringify(JSON.parse(rewritten))).toBe(rewritten);
  });

  test('whatever the value, it is what a receiver computes from what it parsed', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5, stringUnit: 'binary' }), (json) => {
        expect(asText('javascript', json)).toBe(JSON.stringify(JSON.parse(json)));
      }),
    );
  });

  test('what is too deep to be written again is compacted', () => {
    const deep = (space: string) => `{"a":${'['.repeat(100_000)}${space}${']'.repeat(100_000)}}`;
    expect(() => JSON.stringify(JSON.parse(deep('')))).toThrow(RangeError);
    expect(asText('javascript', deep('  '))).toBe(deep(''));
  });
});

test('exact changes nothing', () => {
  const json = Buffer.from('{ "a": 1.0 }');
  expect(formatJson(json, 'exact')).toBe(json);
});

/** Some white space, another one at each call. */
const spaces = fc.infiniteStream(fc.constantFrom('', ' ', '\n', '\t', '\r\n', '  ')).map((stream) => () => {
  const { value } = stream.next();
  return value as string;
});

const digits = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 40 }).map((list) => list.join(''));

/** The tokens of a JSON text without white space between them. */
const tokens = (json: string) => json.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^"{}[\]:,]+/g)!;
