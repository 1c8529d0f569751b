import fc from 'fast-check';
import { matchingPatterns } from '../../src/domain/event-types';
import { type Filter, filterProblem, MAX_FILTER_BYTES } from '../../src/domain/filter';
import { createFilterSet } from '../../src/domain/filter-set';
import { matchesPlainly } from './plain-filter';

const event = (data: unknown, type = 'order.created') => ({ type, version: '1.0', data });
const DATA = {
  total: 120,
  currency: 'EUR',
  paid: false,
  note: null,
  customer: { id: 'cus_1', tags: ['vip', 'new'] },
  items: [{ sku: 'a' }, { sku: 'b' }],
};
const passes = (filter: unknown, data: unknown = DATA) => {
  expect(filterProblem(filter)).toBeUndefined();
  return matches(filter as Filter, data);
};
const matches = (filter: Filter, data: unknown) =>
  createFilterSet([{ webhookId: 'w', patterns: ['*'], filter }]).excludedBy(event(data)).length === 0;

test.each<[filter: object, expected: boolean]>([
  [{ type: 'order.created' }, true],
  [{ type: 'order.updated' }, false],
  [{ version: { $in: ['1.0', '2.0'] } }, true],
  [{ 'data.total': { $gt: 100 } }, true],
  [{ 'data.total': { $gt: 120 } }, false],
  [{ 'data.total': { $lt: 121, $gt: 119 } }, true],
  [{ 'data.currency': { $gt: 'AAA', $lt: 'FFF' } }, true],
  [{ 'data.customer.id': 'cus_1' }, true],
  [{ 'data.items.1.sku': 'b' }, true],
  [{ 'data.items.2.sku': { $exists: false } }, true],
  [{ 'data.items.length': { $exists: true } }, false],
  [{ 'data.customer.tags': { $exists: true } }, true],
  [{ data: { $exists: true } }, true],
  [{ 'data.note': null }, true],
  [{ 'data.note': { $exists: true } }, true],
  // Missing paths.
  [{ 'data.missing': null }, false],
  [{ 'data.missing': { $eq: null } }, false],
  [{ 'data.missing': { $ne: 1 } }, true],
  [{ 'data.missing': { $in: [1, null] } }, false],
  [{ 'data.missing': { $gt: 0 } }, false],
  [{ 'data.missing': { $lt: 0 } }, false],
  [{ 'data.missing': { $exists: false } }, true],
  [{ 'data.total.below': { $exists: true } }, false],
  // Only what is of the same type is the same, or is compared.
  [{ 'data.total': '120' }, false],
  [{ 'data.total': { $ne: '120' } }, true],
  [{ 'data.total': { $gt: '100' } }, false],
  [{ 'data.currency': { $gt: 0 } }, false],
  [{ 'data.paid': { $eq: 0 } }, false],
  [{ 'data.paid': false }, true],
  [{ 'data.customer': { $ne: null } }, true],
  // What every object inherits is not in the data.
  [{ 'data.toString': { $exists: true } }, false],
  [{ 'data.constructor.name': { $exists: true } }, false],
  [{ 'data.__proto__': { $exists: true } }, false],
  // Several at once.
  [{ 'data.total': { $gt: 100 }, 'data.currency': 'USD' }, false],
  [{ $or: [{ 'data.currency': 'USD' }, { 'data.total': 120 }] }, true],
  [{ $or: [{ 'data.currency': 'USD' }] }, false],
  [{ $and: [{ 'data.currency': 'EUR' }, { 'data.total': 120 }] }, true],
  [{ $not: { 'data.currency': 'EUR' } }, false],
  [{ $not: { 'data.total': { $lt: 100 } }, type: 'order.created' }, true],
])('%j → %s', (filter, expected) => {
  expect(passes(filter)).toBe(expected);
});

/** `{$not: {$not: …}}`, so many levels in all. */
const nested = (levels: number): object => (levels === 1 ? { type: 'a' } : { $not: nested(levels - 1) });
const conditions = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`data.f${i}`, i]));

test('8 levels and 100 conditions are the most there may be', () => {
  expect(filterProblem(nested(8))).toBeUndefined();
  expect(filterProblem(nested(9))).toMatchObject({ rule: 'must be at most 8 levels deep' });
  expect(filterProblem(conditions(100))).toBeUndefined();
  expect(filterProblem(conditions(101))).toEqual({ path: ['data.f100'], rule: 'must have at most 100 conditions' });
});

test('a filter has a limit in bytes', () => {
  const texts = (last: number) => ({
    'data.a': { $in: [...Array.from({ length: 16 }, () => 'x'.repeat(1_000)), 'y'.repeat(last)] },
  });
  const rest = MAX_FILTER_BYTES - Buffer.byteLength(JSON.stringify(texts(0)));
  expect(filterProblem(texts(rest))).toBeUndefined();
  expect(filterProblem(texts(rest + 1))).toEqual({ path: [], rule: expect.stringMatching(/at most 16384 bytes/) });
  expect(filterProblem({ 'data.a': { $in: Array.from({ length: 17 }, () => 'é'.repeat(500)) } })).toBeDefined();
});

test.each<[filter: unknown, path: (string | number)[], rule: RegExp]>([
  [null, [], /object/],
  [[], [], /object/],
  ['x', [], /object/],
  [{}, [], /ask for something/],
  [{ total: 1 }, ['total'], /path such as/],
  [{ 'data.': 1 }, ['data.'], /path such as/],
  [{ 'data..a': 1 }, ['data..a'], /path such as/],
  [{ 'type.a': 1 }, ['type.a'], /path such as/],
  [{ [`data.${'x'.repeat(252)}`]: 1 }, [`data.${'x'.repeat(252)}`], /path such as/],
  [{ $xor: [] }, ['$xor'], /not known here/],
  [{ $or: [] }, ['$or'], /list of filters/],
  [{ $or: {} }, ['$or'], /list of filters/],
  [{ $and: [{ type: 'a' }, {}] }, ['$and', 1], /ask for something/],
  [{ $not: 5 }, ['$not'], /object/],
  [{ 'data.a': {} }, ['data.a'], /ask for something/],
  [{ 'data.a': [1] }, ['data.a'], /a text, a number/],
  [{ 'data.a': { $regex: 'x' } }, ['data.a', '$regex'], /not known here/],
  [{ 'data.a': { $eq: { b: 1 } } }, ['data.a', '$eq'], /a text, a number/],
  [{ 'data.a': { $in: 1 } }, ['data.a', '$in'], /list of 1 to 100/],
  [{ 'data.a': { $in: [] } }, ['data.a', '$in'], /list of 1 to 100/],
  [{ 'data.a': { $in: [1, []] } }, ['data.a', '$in', 1], /a text, a number/],
  [{ 'data.a': { $gt: true } }, ['data.a', '$gt'], /number or a text/],
  [{ 'data.a': { $exists: 1 } }, ['data.a', '$exists'], /true or false/],
  [{ 'data.a': 'x'.repeat(1_001) }, ['data.a'], /1000 characters/],
])('%j is refused', (filter, path, rule) => {
  expect(filterProblem(filter)).toEqual({ path, rule: expect.stringMatching(rule) });
});

describe('whatever comes', () => {
  const scalar = fc.oneof(
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  );
  const name = fc.constantFrom('a', 'b', '0', 'constructor', '__proto__', 'length');
  const path = fc.oneof(
    fc.constantFrom('type', 'version', 'data'),
    fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => ['data', ...names].join('.')),
  );
  const condition = fc.oneof(
    scalar,
    scalar.map(($eq) => ({ $eq })),
    scalar.map(($ne) => ({ $ne })),
    fc.array(scalar, { minLength: 1, maxLength: 3 }).map(($in) => ({ $in })),
    fc.oneof(fc.string(), fc.integer()).map(($gt) => ({ $gt })),
    fc.oneof(fc.string(), fc.integer()).map(($lt) => ({ $lt })),
    fc.boolean().map(($exists) => ({ $exists })),
  );
  const { filter } = fc.letrec<{ filter: object }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      fc.tuple(path, condition).map(([at, asked]) => ({ [at]: asked })),
      tie('filter').map(($not) => ({ $not })),
      fc.array(tie('filter'), { minLength: 1, maxLength: 3 }).map(($and) => ({ $and })),
      fc.array(tie('filter'), { minLength: 1, maxLength: 3 }).map(($or) => ({ $or })),
    ),
  }));
  const data = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      // As JSON.parse makes it: `__proto__` is a member like any other.
      fc
        .array(fc.tuple(name, tie('value')), { maxLength: 4 })
        .map((members) =>
          JSON.parse(`{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`),
        ),
    ),
  })).value;

  test('looking for a problem never throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        filterProblem(value);
      }),
    );
  });

  test('filters made ready together answer of each event what each of them says when it is read plainly', () => {
    const patterns = fc.uniqueArray(fc.constantFrom('*', 'order.*', 'order.created', 'user.*'), { minLength: 1 });
    const filtered = fc.array(fc.record({ patterns, filter }), { maxLength: 6 });
    const events = fc.array(fc.tuple(data, fc.constantFrom('order.created', 'user.left', 'a')), { minLength: 1 });
    fc.assert(
      fc.property(filtered, events, (given, asked) => {
        const all = given.map((one, n) => ({ ...one, filter: one.filter as Filter, webhookId: `w${n}` }));
        const set = createFilterSet(all);
        for (const [value, type] of asked) {
          const excluded = all.filter(
            (one) =>
              one.patterns.some((pattern) => matchingPatterns(type).includes(pattern)) &&
              !matchesPlainly(one.filter, event(value, type)),
          );
          expect(set.excludedBy(event(value, type)).sort()).toEqual(excluded.map(({ webhookId }) => webhookId).sort());
        }
      }),
      { numRuns: 500 },
    );
  });

  test('any JSON that is taken for a filter can be asked', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), filter), fc.jsonValue(), (value, given) => {
        fc.pre(filterProblem(value) === undefined);
        expect(matches(value as Filter, given)).toBe(matchesPlainly(value as Filter, event(given)));
      }),
    );
  });

  test('$not is the opposite, $ne that of $eq, and $or that of all opposites', () => {
    fc.assert(
      fc.property(filter, filter, data, path, scalar, (one, other, value, at, operand) => {
        expect(passes({ $not: one }, value)).toBe(!passes(one, value));
        expect(passes({ [at]: { $ne: operand } }, value)).toBe(!passes({ [at]: { $eq: operand } }, value));
        expect(passes({ $or: [one, other] }, value)).toBe(!passes({ $and: [{ $not: one }, { $not: other }] }, value));
      }),
    );
  });
});
