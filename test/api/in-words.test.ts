import { z } from 'zod';
import { ApiError, type FieldProblem } from '../../src/api/errors';
import { parseInput } from '../../src/api/http/read-input';
import { routes } from '../../src/api/routes';
import { layersOf } from '../../src/in-words';

/** What breaks the rules of each request is said in words of ours, whatever schema or part of it refuses the value. */

/** The library's own ways to say it. */
const LIBRARY =
  /invalid|expected|received|too (big|small)|unrecognized|[<>]=|\bNaN\b|undefined|\boption\b|\bint\b|regex|\/\^/i;
const SENTENCE_END = /^(is required: |must |is not known here|the (value|header|body) |has )/;

type Where = 'body' | 'query';
const SCHEMAS = routes.flatMap((row) =>
  (['body', 'query'] as const).flatMap((where): [string, z.ZodType, Where][] =>
    row[where] ? [[`the ${where} of ${row.method.toUpperCase()} ${row.path}`, row[where], where]] : [],
  ),
);

/** Values of every kind; in a query there are texts, and lists of them. */
const WRONG = [
  ...[null, true, 5, -1, 1.5, 1e300, Number.NaN, '', 'x', ' ', 'x'.repeat(5_000), '\0', '-5', '1.5', 'yes'],
  ...[[], [[]], [null], ['', 5], Array(1_001).fill('x'), {}, { x: 1 }, { '': '' }, { ['n'.repeat(300)]: 'v' }],
];

/** Each member's path of an object schema, those of members' members included. */
function pathsOf(schema: z.ZodType, path: string[] = []): string[][] {
  const core = layersOf(schema).at(-1)!;
  if (core instanceof z.ZodUnion) return (core.options as z.ZodType[]).flatMap((option) => pathsOf(option, path));
  if (!(core instanceof z.ZodObject)) return [];
  return Object.keys(core.shape).flatMap((name) => [
    [...path, name],
    ...pathsOf(core.shape[name] as z.ZodType, [...path, name]),
  ]);
}

function withValue(path: string[], value: unknown): Record<string, unknown> {
  const [name = '', ...rest] = path;
  return { [name]: rest.length === 0 ? value : withValue(rest, value) };
}

function problemsOf(schema: z.ZodType, value: unknown, where: Where): { fields: FieldProblem[]; detail: string } {
  try {
    parseInput(schema, value, where);
    return { fields: [], detail: '' };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { fields: error.fields, detail: error.message };
  }
}

test.each(SCHEMAS)('%s says in words what breaks a rule', (_name, schema, where) => {
  const values = [undefined, ...WRONG, ...pathsOf(schema).flatMap((path) => WRONG.map((bad) => withValue(path, bad)))];
  const said = values.flatMap((value) => {
    const { fields, detail } = problemsOf(schema, value, where);
    return fields.length > 0 ? [...fields.map(({ rule }) => rule), detail] : [];
  });
  const rules = [...new Set(said)];
  expect(rules.filter((rule) => LIBRARY.test(rule))).toEqual([]);
  const ends = rules.filter((rule) => !/^(`|The )/.test(rule));
  expect(ends.filter((rule) => !SENTENCE_END.test(rule))).toEqual([]);
  const details = rules.filter((rule) => /^(`|The )/.test(rule));
  expect(
    details.filter(
      (detail) => !/^(`[^`]*`|The (body|query)) .*\.( There (is 1|are \d+) other errors?\.)?$/s.test(detail),
    ),
  ).toEqual([]);
});

/** One of each kind that a schema may be made of: what another route will be made of is said as well. */
const KINDS = z.strictObject({
  text: z.string().min(2).max(5),
  exact: z.string().length(3),
  long: z.string().min(2),
  number: z.number().min(0).max(1),
  count: z.int().min(1),
  below: z.number().max(5),
  multiple: z.number().multipleOf(5),
  above: z.number().gt(0).lt(7),
  query: z.coerce.number().int().min(1).max(200),
  flag: z.boolean(),
  one: z.enum(['a', 'b', 'c']),
  only: z.literal('x'),
  list: z
    .array(z.enum(['a', 'b']))
    .min(1)
    .max(2),
  texts: z.array(z.string()).max(3),
  record: z.record(z.string().min(2), z.string().max(1)),
  either: z.union([z.string().max(2), z.number()]),
  none: z.null(),
  big: z.bigint(),
  date: z.date(),
  email: z.email(),
  url: z.url(),
  pattern: z.string().regex(/^a+$/),
  time: z.iso.datetime(),
  tuple: z.tuple([z.string(), z.number()]),
  set: z.set(z.string()).min(2),
  map: z.map(z.string(), z.number()),
  anything: z.custom((value) => value === 5),
  refined: z.string().refine((text) => text === 'y'),
  nullable: z.number().nullable(),
  nested: z.strictObject({ deep: z.boolean() }),
  kind: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('a') }),
    z.strictObject({ type: z.literal('b') }),
  ]),
});

test('every kind of schema and of issue has its words', () => {
  const values = [
    {},
    ...Object.keys(KINDS.shape).flatMap((name) => [...WRONG, ['abcdef'], { k: 'vv' }].map((bad) => ({ [name]: bad }))),
  ];
  const rules = [
    ...new Set(values.flatMap((value) => problemsOf(KINDS, value, 'body').fields.map(({ rule }) => rule))),
  ];
  expect(rules.length).toBeGreaterThan(Object.keys(KINDS.shape).length);
  expect(rules.filter((rule) => LIBRARY.test(rule) || !SENTENCE_END.test(rule))).toEqual([]);
});

test.each<[keyof typeof KINDS.shape, unknown, string]>([
  ['text', 'x', 'must be a text of 2 to 5 characters'],
  ['exact', 'x', 'must be a text of 3 characters'],
  ['long', undefined, 'is required: a text of at least 2 characters'],
  ['number', 2, 'must be a number from 0 to 1'],
  ['count', 1.5, 'must be a whole number of at least 1'],
  ['below', 6, 'must be a number of at most 5'],
  ['multiple', 7, 'must be a number that is a multiple of 5'],
  ['above', 7, 'must be a number above 0 below 7'],
  ['query', 'ten', 'must be a whole number from 1 to 200'],
  ['flag', 'yes', 'must be true or false'],
  ['one', 'd', 'must be one of a, b or c'],
  ['only', 'y', 'must be x'],
  ['list', [], 'must be a list of 1 to 2 of a or b'],
  ['texts', 'x', 'must be a list of at most 3 texts'],
  ['record', 5, 'must be an object whose values are texts of at most 1 character'],
  ['record', { k: 'v' }, 'must have names that are each a text of at least 2 characters'],
  ['either', true, 'must be a text of at most 2 characters, or a number'],
  ['nullable', 'x', 'must be a number, or null'],
  ['nested', undefined, 'is required: an object'],
])('%s of %j: %s', (name, value, rule) => {
  const { fields } = problemsOf(KINDS, value === undefined ? {} : { [name]: value }, 'body');
  expect(fields.find(({ field }) => field.split('.')[0] === name)!.rule).toBe(rule);
});
