import Ajv2020, { type ErrorObject } from 'ajv/dist/2020';
import fc from 'fast-check';
import { FORMAT_CHECKS } from '../../src/api/publish/formats';
import { checkData, MAX_PROBLEMS, prepareSchema } from '../../src/domain/data-check';
import { measureSchema } from '../../src/domain/data-schema';
import { allAtOnce, TooCostlyError, WorkBudget } from '../../src/domain/work-budget';

const ajv = new Ajv2020({
  strict: false,
  // As where schemas are registered: 1e400 is no number.
  strictNumbers: true,
  allErrors: true,
  ownProperties: true,
  formats: FORMAT_CHECKS,
  logger: false,
  addUsedSchema: false,
});

const ample = () => new WorkBudget(Number.POSITIVE_INFINITY);
const problems = (schema: object, data: unknown, budget = ample(), told: 'first' | 'all' = 'all') =>
  allAtOnce(checkData(prepareSchema(schema, FORMAT_CHECKS), data, budget, told));

/** What Ajv says, in the API's words; undefined where its code is broken, as under `prefixItems: [false]` in a `oneOf`. */
function byAjv(schema: object, data: unknown): string[] | undefined {
  const validate = ajv.compile(schema);
  try {
    validate(data);
  } catch (error) {
    if (error instanceof ReferenceError) return undefined;
    throw error;
  }
  const told = (validate.errors ?? []).map(({ instancePath, keyword, params, message }: ErrorObject) => {
    const path = ['data', ...instancePath.split('/').slice(1)].map((one) =>
      one.replaceAll('~1', '/').replaceAll('~0', '~'),
    );
    const at = (name?: string) => [...path, ...(name === undefined ? [] : [name])].join('.');
    if (keyword === 'required' || keyword === 'dependentRequired') return `${at(params.missingProperty)} is required`;
    if (keyword === 'additionalProperties') return `${at(params.additionalProperty)} is not known here`;
    const list = keyword === 'enum' ? JSON.stringify(params.allowedValues).slice(1, -1) : undefined;
    return `${at()} ${list !== undefined && list.length <= 200 ? `must be one of ${list}` : message}`;
  });
  return told;
}

const NAMES = ['a', 'b', 'toString', '0'];
const name = fc.constantFrom(...NAMES);
const scalar = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  // Of larger ones, and of decimals, Ajv says wrongly which are multiples: see decimals.test.ts.
  fc.constantFrom(0.5, -0.25, 1e15, Number.POSITIVE_INFINITY),
  fc.constantFrom(
    '',
    'a',
    'ab',
    '😀😀',
    '\ud800x',
    '2024-02-29',
    '2024-02-29T10:00:00Z',
    'a@b',
    'a@b.example',
    'http://a/',
    'http://[',
  ),
  fc.boolean(),
  fc.constant(null),
);
const finite = scalar.filter((value) => value !== Number.POSITIVE_INFINITY);
const small = fc.integer({ min: 0, max: 3 });
const type = fc.constantFrom('object', 'array', 'string', 'number', 'integer', 'boolean', 'null');
const unique = { minLength: 1, maxLength: 3 };
const { schema } = fc.letrec<{ schema: unknown }>((tie) => {
  const schemas = fc.array(tie('schema'), { minLength: 1, maxLength: 3 });
  return {
    schema: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      fc.boolean(),
      fc.constantFrom({ $ref: '#/$defs/one' }, { $ref: '#/$defs/two' }),
      fc.record(
        {
          type: fc.oneof(type, fc.uniqueArray(type, unique)),
          enum: fc.uniqueArray(finite, unique),
          const: finite,
          minLength: small,
          maxLength: small,
          format: fc.constantFrom('date', 'date-time', 'email', 'uri', 'uuid'),
          minimum: fc.integer({ min: -3, max: 3 }),
          maximum: fc.integer({ min: -3, max: 3 }),
          exclusiveMinimum: fc.integer({ min: -3, max: 3 }),
          exclusiveMaximum: fc.integer({ min: -3, max: 3 }),
          multipleOf: fc.constantFrom(1, 2, 0.5, 0.25),
          minItems: small,
          maxItems: small,
          minProperties: small,
          maxProperties: small,
          required: fc.uniqueArray(name, unique),
          dependentRequired: fc.dictionary(name, fc.uniqueArray(name, unique)),
        },
        { requiredKeys: [] },
      ),
      fc.record(
        {
          properties: fc.dictionary(name, tie('schema')),
          additionalProperties: tie('schema'),
          items: tie('schema'),
          prefixItems: schemas,
          allOf: schemas,
          anyOf: schemas,
          oneOf: schemas,
          not: tie('schema'),
        },
        { requiredKeys: [] },
      ),
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      fc.record({ if: tie('schema'), then: tie('schema'), else: tie('schema') }),
    ),
  };
});
const whole = fc
  .tuple(fc.record({ root: schema, one: schema, two: schema }), fc.array(schema, { maxLength: 2 }))
  .map(([{ root, one, two }, allOf]) => ({
    ...(typeof root === 'object' ? root : { not: { not: root } }),
    ...(allOf.length > 0 && { allOf }),
    $defs: { one, two },
  }))
  .filter((made) => !('problem' in measureSchema(made)));
const data = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 4 }),
  ),
})).value;

test('says what Ajv says, of any schema and data', () => {
  fc.assert(
    fc.property(whole, data, (asked, value) => {
      const expected = byAjv(asked, value);
      if (!expected) return;
      const found = problems(asked, value).map(({ field, rule }) => `${field} ${rule}`);
      expect(found.length === 0).toBe(expected.length === 0);
      // Both tell the same ones; the order is theirs.
      if (expected.length < MAX_PROBLEMS) expect(found.sort()).toEqual([...new Set(expected)].sort());
      const first = problems(asked, value, ample(), 'first');
      expect(first.length === 0).toBe(expected.length === 0);
      const known = new Set(expected);
      expect(first.filter(({ field, rule }) => !known.has(`${field} ${rule}`))).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

test('ends where the budget ends, and at the same step every time', () => {
  const schema = { type: 'array', items: { type: 'object', properties: { a: { minimum: 0 } }, required: ['a'] } };
  const data = Array.from({ length: 1_000 }, (_, a) => ({ a }));
  const whole = ample();
  expect(problems(schema, data, whole)).toEqual([]);
  const { spent } = whole;
  expect(spent).toBeGreaterThan(data.length);
  expect(problems(schema, data, new WorkBudget(spent))).toEqual([]);
  expect(() => problems(schema, data, new WorkBudget(spent - 1))).toThrow(TooCostlyError);
});

test.each<[what: string, schema: object, data: unknown]>([
  ['branches', { items: { anyOf: Array.from({ length: 100 }, (_, n) => ({ const: n })) } }, Array(1_000).fill(99)],
  ['nested lists', { items: { items: { type: 'integer' } } }, Array(100).fill(Array(100).fill(1))],
  [
    'members',
    { additionalProperties: { type: 'integer' } },
    Object.fromEntries(Array.from({ length: 9_999 }, (_, n) => [`k${n}`, n])),
  ],
  [
    'texts',
    { items: { allOf: Array.from({ length: 100 }, () => ({ minLength: 6_000 })) } },
    Array(50).fill('x'.repeat(8_000)),
  ],
])('lets others in while it goes through %s', (_what, schema, data) => {
  const steps = checkData(prepareSchema(schema, FORMAT_CHECKS), data, ample(), 'all');
  let pauses = 0;
  while (!steps.next().done) pauses++;
  expect(pauses).toBeGreaterThan(3);
});

test('tells names that are as long as the data in short, and no more than there is room for', () => {
  const name = 'n'.repeat(100_000);
  const told = problems({ additionalProperties: { items: { type: 'string' } } }, { [name]: Array(500).fill(1) });
  expect(told.length).toBeLessThanOrEqual(MAX_PROBLEMS);
  expect(JSON.stringify(told).length).toBeLessThan(MAX_PROBLEMS * 1_000);
});
