import fc from 'fast-check';
import { parseJsonInSteps } from '../../src/domain/parse-json';
import { allAtOnce } from '../../src/domain/work-budget';

/** However it is taken apart, a text means what JSON.parse says, or nothing where that refuses it. */

const PAD = ' '.repeat(9_000);
const long = 'x'.repeat(9_000);
const many = <T>(count: number, item: (n: number) => T) => Array.from({ length: count }, (_, n) => item(n));

type Outcome = { value: unknown } | 'refused';
const outcome = (parse: () => unknown): Outcome => {
  try {
    return { value: parse() };
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return 'refused';
  }
};
const inSteps = (json: string) => outcome(() => allAtOnce(parseJsonInSteps(json)));
const atOnce = (json: string) => outcome(() => JSON.parse(json));

test.each<[string, string]>([
  ['nothing', ''],
  ['white space', PAD],
  ['a number', ` ${PAD}12.50${PAD}`],
  ['a text', `"${long}"`],
  ['a text that does not end', `"${long}`],
  ['an empty list', `[${PAD}]`],
  ['an empty object', `{${PAD}}`],
  ['a list that does not end', `[${PAD}`],
  ['an object that does not end', `{${PAD}"a":1`],
  ['a list of lists', JSON.stringify(many(50, (n) => many(n, () => long.slice(0, 300))))],
  ['a list closed as an object', `["${long}"}`],
  ['an object closed as a list', `{"a":"${long}"]`],
  ['a comma too many', `["${long}",]`],
  ['a comma too few', `["${long}" 1]`],
  ['a comma first', `[,"${long}"]`],
  ['a comma last in an object', `{"a":"${long}",}`],
  ['a name that is no text', `{1:"${long}"}`],
  ['a name without a value', `{"a","b":"${long}"}`],
  ['a name without quotes', `{a:"${long}"}`],
  ['two colons', `{"a"::"${long}"}`],
  ['something behind it', `["${long}"] 1`],
  ['a second value', `["${long}"][]`],
  ['white space that JSON does not know', `[1\u00a0,"${long}"]`],
  ['a byte order mark', `\ufeff["${long}"]`],
  ['a line break in a text', `["${long}\n"]`],
  ['an escape that is none', `["${long}\\x"]`],
  ['an escaped quote at the end', `["${long}\\"]`],
  ['names twice', `{"a":"${long}","b":1,"a":2}`],
  ['a prototype', `{"__proto__":{"x":1},"a":"${long}"}`],
  ['names with escapes', `{"\\u0061":"${long}","a":1}`],
  ['names that are numbers', `{"b":"${long}","2":1,"1":2}`],
  ['many levels', `${`["${long}",`.repeat(100)}1${']'.repeat(100)}`],
  ['many levels, one not closed', `${'['.repeat(20_000)}${']'.repeat(19_999)}`],
  ['many members', JSON.stringify(Object.fromEntries(many(5_000, (n) => [`name ${n}`, n])))],
])('%s', (_, json) => {
  expect(inSteps(json)).toEqual(atOnce(json));
});

test('a prototype stays a member, and nothing else', () => {
  const { value } = inSteps(`{"__proto__":{"x":1},"a":"${long}"}`) as { value: Record<string, unknown> };
  expect(Object.keys(value)).toEqual(['__proto__', 'a']);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect(value.x).toBeUndefined();
});

test('whatever a value holds, and wherever one character of its text is changed', () => {
  const wide = fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      wide,
      fc.nat(),
      fc.constantFrom('', '"', ',', ':', '[', '}', '\\', '1', ' '),
      (items, at, character) => {
        // Each level is large.
        const json = JSON.stringify({ pad: long, items: { pad: long, items: [long, ...items] } });
        expect(inSteps(json)).toEqual({ value: JSON.parse(json) });
        const place = json.length - 1 - (at % Math.min(json.length, 400));
        const changed = json.slice(0, place) + character + json.slice(place + 1);
        expect(inSteps(changed)).toEqual(atOnce(changed));
      },
    ),
    { numRuns: 500 },
  );
});

test('what is large has many steps, and none of them much of the text', () => {
  const json = JSON.stringify({ events: many(1_000, (n) => ({ type: 'a', data: many(30, () => n) })) });
  const steps = [...parseJsonInSteps(json)].length;
  expect(steps).toBe(1_000);
});
