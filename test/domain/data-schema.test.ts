import fc from 'fast-check';
import { measureSchema } from '../../src/domain/data-schema';
import { schemaFields } from '../../src/domain/schema-fields';

const nested = (levels: number): object => (levels === 0 ? { type: 'string' } : { not: nested(levels - 1) });
/** Each definition refers to the next one ten times over. */
const laughs = (levels: number) => ({
  $ref: '#/$defs/l0',
  $defs: Object.fromEntries(
    Array.from({ length: levels }, (_, i) => [
      `l${i}`,
      i === levels - 1
        ? { type: 'string' }
        : { allOf: Array.from({ length: 10 }, () => ({ $ref: `#/$defs/l${i + 1}` })) },
    ]),
  ),
});

test.each<[what: string, schema: unknown, path: (string | number)[], rule: RegExp]>([
  ['a boolean', true, [], /object/],
  ['a list', [], [], /object/],
  ['a regular expression', { properties: { a: { pattern: '(a+)+$' } } }, ['properties', 'a', 'pattern'], /keywords/],
  ['patterns of names', { patternProperties: { a: {} } }, ['patternProperties'], /keywords/],
  ['names under a schema', { propertyNames: { pattern: 'a' } }, ['propertyNames'], /keywords/],
  ['unique items', { uniqueItems: true }, ['uniqueItems'], /keywords/],
  ['unevaluated properties', { unevaluatedProperties: false }, ['unevaluatedProperties'], /keywords/],
  ['an id', { $id: 'https://example.com/' }, ['$id'], /keywords/],
  ['an inherited name', { constructor: {} }, ['constructor'], /keywords/],
  ['another dialect', { $schema: 'http://json-schema.org/draft-07/schema' }, ['$schema'], /2020-12/],
  ['a remote reference', { $ref: 'https://example.com/s.json' }, ['$ref'], /\$defs/],
  ['a reference to the root', { $ref: '#' }, ['$ref'], /\$defs/],
  ['a reference to nothing', { $ref: '#/$defs/a' }, ['$ref'], /definition of this schema/],
  ['an inherited definition', { $ref: '#/$defs/constructor', $defs: {} }, ['$ref'], /definition of this schema/],
  [
    'a reference to itself',
    { $defs: { a: { items: { $ref: '#/$defs/a' } } } },
    ['$defs', 'a', 'items', '$ref'],
    /back to itself/,
  ],
  [
    'references in a circle',
    { $defs: { a: { $ref: '#/$defs/b' }, b: { not: { $ref: '#/$defs/a' } } } },
    ['$defs', 'a', '$ref'],
    /back to itself/,
  ],
  ['references that multiply', laughs(5), [], /too large/],
  ['definitions below the root', { items: { $defs: {} } }, ['items', '$defs'], /root/],
  ['too many levels', nested(17), Array.from({ length: 17 }, () => 'not'), /16 schemas deep/],
  ['too many values', { enum: Array.from({ length: 201 }, (_, i) => i) }, ['enum'], /200 values/],
  ['an object as a value', { enum: [{}] }, ['enum', 0], /text, number/],
  ['an object as the value', { const: {} }, ['const'], /text, number/],
  ['too many bytes', { description: 'x'.repeat(65_536) }, [], /65536 bytes/],
  ['a format of its own', { format: 'regex' }, ['format'], /one of date-time/],
  ['__proto__ as a field', { properties: JSON.parse('{"__proto__":{}}') }, ['properties'], /__proto__/],
  ['no schema below', { properties: { a: 1 } }, ['properties', 'a'], /must be a schema/],
  ['no list', { allOf: {} }, ['allOf'], /list/],
  ['too many parts', { required: Array.from({ length: 501 }, (_, i) => `${i}`) }, [], /too large/],
])('%s is refused', (_what, schema, path, rule) => {
  expect(measureSchema(schema)).toEqual({ problem: { path, rule: expect.stringMatching(rule) } });
});

test('what stands in no keyword may be deep, but not so that it cannot be walked', () => {
  const deep = (levels: number) => JSON.parse(`{"default":${'['.repeat(levels)}${']'.repeat(levels)}}`);
  expect(measureSchema(deep(20))).toEqual({ size: expect.any(Number), width: expect.any(Number) });
  expect(measureSchema(deep(200_000))).toMatchObject({ problem: { rule: 'is too deep' } });
});

test('16 levels may be, and a reference counts as what it names', () => {
  expect(measureSchema(nested(16))).toEqual({ size: expect.any(Number), width: expect.any(Number) });
  const once = measureSchema({ $defs: { a: { enum: [1, 2, 3] } }, items: { $ref: '#/$defs/a' } }) as { size: number };
  const twice = measureSchema({
    $defs: { a: { enum: [1, 2, 3] } },
    prefixItems: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }],
  }) as { size: number };
  expect(twice.size).toBeGreaterThan(once.size + 3);
});

test.each<[schema: object, width: number]>([
  [{}, 1],
  [{ type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } }, required: ['a'] }, 3 + 2 + 1],
  [{ properties: { a: { enum: [1, 2, 3, 4, 5] }, b: { enum: [1, 2] } } }, 6],
  [{ items: { items: { items: { minimum: 1 } } } }, 1],
  [{ allOf: [{ minimum: 1 }, { maximum: 2, type: 'number' }, true] }, 1 + 1 + 2 + 1],
  // What stands beside each other may ask something of the same value further down.
  [{ anyOf: [{ items: { allOf: [{}, { minimum: 1 }] } }, { items: { minimum: 1 } }] }, 1 + (1 + 1 + 1) + 1],
  [{ $ref: '#/$defs/a', not: { $ref: '#/$defs/a' }, $defs: { a: { minimum: 1, maximum: 2 } } }, 3 + 2 + (1 + 2)],
])('the width of %j is %i', (schema, width) => {
  expect(measureSchema(schema)).toMatchObject({ width });
});

test('measuring never throws', () => {
  const keyword = fc.constantFrom('properties', '$defs', '$ref', 'items', 'allOf', 'enum', 'const', 'type', 'required');
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(keyword, tie('value')),
      fc.constant('#/$defs/items'),
    ),
  })).value;
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), value), (schema) => {
      const measured = measureSchema(schema);
      if (!('problem' in measured)) schemaFields(schema as object);
    }),
  );
});

test('fields are told in the order they were written, through references and lists', () => {
  const schema = {
    type: 'object',
    properties: {
      zeta: { type: ['string', 'null'], description: 'first' },
      items: { type: 'array', items: { $ref: '#/$defs/item' } },
      alpha: { const: 1 },
    },
    required: ['items'],
    $defs: { item: { type: 'object', properties: { sku: { type: 'string', enum: ['a', 'b'] } }, required: ['sku'] } },
  };
  expect(schemaFields(schema)).toEqual({
    more: false,
    fields: [
      { path: 'zeta', type: 'string or null', required: false, description: 'first' },
      { path: 'items', type: 'array', required: true, description: '' },
      { path: 'items[].sku', type: 'string, one of "a", "b"', required: true, description: '' },
      { path: 'alpha', type: 'always 1', required: false, description: '' },
    ],
  });
});
