import fc from 'fast-check';
import { rawItems, rawMember } from '../../src/domain/raw-member';

const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);
/** Keys that repeat often, and such as look like JSON themselves. */
const key = fc.oneof(fc.constantFrom('data', 'a', '', '__proto__', '}', '"', '\\', ',"data":1', 'é'), fc.string());
const scalar = fc.oneof(
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
  fc.string().map((text) => escapeAll(text)),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => JSON.stringify(n)),
  fc.constantFrom(
    'true',
    'false',
    'null',
    '-0',
    '1.0',
    '1E+5',
    '12345678901234567890',
    '"}"',
    '"]{"',
    '"\\\\"',
    '"\\""',
  ),
);

/** The text of any JSON value, with white space wherever JSON allows it. */
const { value } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, scalar, tie('array'), tie('object')),
  array: fc
    .array(fc.tuple(space, tie('value'), space), { maxLength: 4 })
    .map((items) => `[${items.map((parts) => parts.join('')).join(',')}]`),
  object: objectOf(tie('value')),
}));

function objectOf(member: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const name = fc.tuple(key, fc.boolean()).map(([text, escaped]) => (escaped ? escapeAll(text) : JSON.stringify(text)));
  return fc
    .tuple(space, fc.array(fc.tuple(space, name, space, fc.constant(':'), space, member, space), { maxLength: 5 }))
    .map(([inside, members]) => `{${members.map((parts) => parts.join('')).join(',') || inside}}`);
}

/** The same string with every character as `\uXXXX`. */
function escapeAll(text: string): string {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i).toString(16).padStart(4, '0'));
  return `"${units.map((hex) => `\\u${hex}`).join('')}"`;
}

const list = fc
  .tuple(space, space, fc.array(fc.tuple(space, value, space), { maxLength: 5 }), space)
  .map(
    ([before, inside, items, after]) =>
      `${before}[${items.map((parts) => parts.join('')).join(',') || inside}]${after}`,
  );

test('the texts of an array’s items parse to what JSON.parse finds', () => {
  fc.assert(
    fc.property(list, (json) => {
      const raw = [...rawItems(json)];
      expect(raw.map((text) => JSON.parse(text))).toEqual(JSON.parse(json));
      for (const text of raw) {
        expect(text).toBe(text.trim());
        expect(json).toContain(text);
      }
    }),
    { numRuns: 1_000 },
  );
});

const document = fc.tuple(space, objectOf(value), space).map((parts) => parts.join(''));

test('the text of a member parses to what JSON.parse finds under that name', () => {
  fc.assert(
    fc.property(document, key, (json, name) => {
      const parsed = JSON.parse(json) as Record<string, unknown>;
      for (const member of [...Object.keys(parsed), name]) {
        const raw = rawMember(json, member);
        if (!Object.hasOwn(parsed, member)) {
          expect(raw).toBeUndefined();
        } else {
          expect(JSON.parse(raw!)).toEqual(parsed[member]);
          expect(raw).toBe(raw!.trim());
          expect(json).toContain(raw);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ['{"data":{"n":1.0}}', '{"n":1.0}'],
  ['{ "data" : 12345678901234567890 , "x":1}', '12345678901234567890'],
  ['{"data":1,"data":{"last":"wins"}}', '{"last":"wins"}'],
  ['{"d\\u0061ta":{}}', '{}'],
  ['{"x":{"data":1},"data":2}', '2'],
  ['{"x":"\\"data\\":1","data":"}\\\\"}', '"}\\\\"'],
  ['\n{"data":[ ]\t}\n', '[ ]'],
  ['{}', undefined],
])('in %s it is %s', (json, raw) => {
  expect(rawMember(json, 'data')).toBe(raw);
});
