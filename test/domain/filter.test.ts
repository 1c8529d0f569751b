import fc from 'fast-check';
import { matchingPatterns } from '../../src/domain/event-types';
import { type Filter, type Filterable, filterProblem, MAX_ELEMENTS, MAX_FILTER_BYTES } from '../../src/domain/filter';
import { createFilterSet, type FilterSet } from '../../src/domain/filter-set';
import { allAtOnce, TooCostlyError, WorkBudget } from '../../src/domain/work-budget';
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
  excluded(createFilterSet([{ webhookId: 'w', patterns: ['*'], filter }]), event(data)).length === 0;
const excluded = (set: FilterSet, one: Filterable, limit = 1e9) =>
  allAtOnce(set.excludedBy(one, new WorkBudget(limit)));

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
  [{ 'data.total': { $gte: 120 } }, true],
  [{ 'data.total': { $gte: 120.01 } }, false],
  [{ 'data.total': { $lte: 120, $gte: 0 } }, true],
  [{ 'data.currency': { $gte: 'EUR', $lte: 'EUR' } }, true],
  [{ 'data.total': { $gte: '120' } }, false],
  [{ 'data.total': { $lte: '120' } }, false],
  [{ 'data.missing': { $gte: 0 } }, false],
  [{ 'data.currency': { $nin: ['USD', 'GBP'] } }, true],
  [{ 'data.currency': { $nin: ['USD', 'EUR'] } }, false],
  [{ 'data.missing': { $nin: [1] } }, true],
  [{ 'data.total': { $nin: ['120'] } }, true],
  // An element of a list.
  [{ 'data.customer.tags': { $elemMatch: { $eq: 'vip' } } }, true],
  [{ 'data.customer.tags': { $elemMatch: { $in: ['old', 'new'] } } }, true],
  [{ 'data.customer.tags': { $elemMatch: { $gt: 'vip' } } }, false],
  [{ 'data.items': { $elemMatch: { sku: 'b' } } }, true],
  [{ 'data.items': { $elemMatch: { sku: { $ne: 'a' }, qty: { $exists: false } } } }, true],
  [{ 'data.items': { $elemMatch: { sku: 'a', qty: 1 } } }, false],
  [{ 'data.items': { $elemMatch: { $or: [{ sku: 'x' }, { $not: { sku: 'a' } }] } } }, true],
  [{ 'data.items': { $exists: true, $elemMatch: { $exists: true } } }, true],
  [{ 'data.items': { $elemMatch: { 'constructor.name': { $exists: true } } } }, false],
  [{ 'data.customer': { $elemMatch: { $exists: true } } }, false],
  [{ 'data.missing': { $elemMatch: { $exists: true } } }, false],
  [{ $not: { 'data.customer.tags': { $elemMatch: { $eq: 'vip' } } } }, false],
  [{ data: { $elemMatch: { $exists: true } } }, false],
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

test('10 conditions inside $elemMatch are the most there may be, of all lists of a filter together', () => {
  const within = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, i]));
  const lists = (a: number, b: number) => ({
    'data.a': { $elemMatch: within(a) },
    'data.b': { $elemMatch: within(b) },
  });
  expect(filterProblem(lists(5, 5))).toBeUndefined();
  expect(filterProblem(lists(6, 5))).toMatchObject({ rule: 'must have at most 10 conditions inside $elemMatch' });
});

test('elements beyond the thousandth are not looked at', () => {
  const filter = { 'data.list': { $elemMatch: { $eq: 1 } } };
  const list = (zeros: number) => ({ list: [...Array(zeros).fill(0), 1] });
  expect(passes(filter, list(MAX_ELEMENTS - 1))).toBe(true);
  expect(passes(filter, list(MAX_ELEMENTS))).toBe(false);
});

test('what is asked of elements costs, and lets others in between', () => {
  const filters = Array.from({ length: 50 }, (_, n) => ({
    webhookId: `w${n}`,
    patterns: ['*'],
    filter: { 'data.list': { $elemMatch: { $eq: n + 1 } } },
  }));
  const set = createFilterSet(filters);
  const long = event({ list: Array(MAX_ELEMENTS).fill(0) });
  expect(() => excluded(set, long, 10_000)).toThrow(TooCostlyError);
  // Two at once: neither sees what the other one looks at.
  const both = [long, event({ list: [7] })].map((one) => set.excludedBy(one, new WorkBudget(1e9)));
  const ends: (string[] | undefined)[] = [undefined, undefined];
  let pauses = 0;
  while (ends.includes(undefined)) {
    for (const [i, steps] of both.entries()) {
      if (ends[i]) continue;
      const step = steps.next();
      if (step.done) ends[i] = step.value;
      else pauses++;
    }
  }
  expect(pauses).toBeGreaterThan(5);
  expect(ends[0]).toHaveLength(50);
  expect(ends[1]).toEqual(filters.map(({ webhookId }) => webhookId).filter((id) => id !== 'w6'));
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
  [{ 'data.a': { $gte: null } }, ['data.a', '$gte'], /number or a text/],
  [{ 'data.a': { $nin: [] } }, ['data.a', '$nin'], /list of 1 to 100/],
  [{ 'data.a': { $exists: 1 } }, ['data.a', '$exists'], /true or false/],
  [{ 'data.a': { $elemMatch: 'x' } }, ['data.a', '$elemMatch'], /an object/],
  [{ 'data.a': { $elemMatch: {} } }, ['data.a', '$elemMatch'], /ask for something/],
  [{ 'data.a': { $elemMatch: { $gt: 1, b: 2 } } }, ['data.a', '$elemMatch', '$gt'], /not known here/],
  [{ 'data.a': { $elemMatch: { 'b..c': 2 } } }, ['data.a', '$elemMatch', 'b..c'], /from the element on/],
  [
    { 'data.a': { $elemMatch: { b: { $elemMatch: { $eq: 1 } } } } },
    ['data.a', '$elemMatch', 'b', '$elemMatch'],
    /inside another/,
  ],
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
    fc.oneof(fc.string(), fc.integer()).map(($gte) => ({ $gte })),
    fc.oneof(fc.string(), fc.integer()).map(($lte) => ({ $lte })),
    fc.array(scalar, { minLength: 1, maxLength: 3 }).map(($nin) => ({ $nin })),
    fc.boolean().map(($exists) => ({ $exists })),
    scalar.map(($eq) => ({ $elemMatch: { $eq } })),
    fc.tuple(name, scalar).map(([at, $ne]) => ({ $elemMatch: { [at]: { $ne } } })),
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
          const expected = all.filter(
            (one) =>
              one.patterns.some((pattern) => matchingPatterns(type).includes(pattern)) &&
              !matchesPlainly(one.filter, event(value, type)),
          );
          expect(excluded(set, event(value, type)).sort()).toEqual(expected.map(({ webhookId }) => webhookId).sort());
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
