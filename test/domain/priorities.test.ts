import fc from 'fast-check';
import { PRIORITY_NAMES, type Priority, priorityOrder } from '../../src/domain/priorities';

const passes = (count: number, served: readonly Priority[]) =>
  Array.from({ length: count }, (_, pass) => priorityOrder(pass, served));
const firstIn = (orders: Priority[][], priority: Priority) => orders.filter((order) => order[0] === priority).length;

test('of seven passes, high goes first in four, normal in two and low in one', () => {
  const week = passes(7, PRIORITY_NAMES);
  expect(PRIORITY_NAMES.map((priority) => firstIn(week, priority))).toEqual([4, 2, 1]);
  expect(passes(70, PRIORITY_NAMES)).toEqual(Array(10).fill(week).flat());
});

test('no priority but high goes first twice in a row', () => {
  const firsts = passes(71, PRIORITY_NAMES).map(([first]) => first);
  for (const [pass, first] of firsts.entries()) {
    if (pass > 0 && first === firsts[pass - 1]) expect(first).toBe('high');
  }
});

test('behind the first priority, the others stand by priority', () => {
  for (const order of passes(7, PRIORITY_NAMES)) {
    expect(order.slice(1)).toEqual(PRIORITY_NAMES.filter((priority) => priority !== order[0]));
  }
});

test.each<[Priority[], number[]]>([
  [
    ['normal', 'low'],
    [0, 2, 1],
  ],
  [
    ['high', 'low'],
    [4, 0, 1],
  ],
  [['low'], [0, 0, 1]],
])('with %j served, each of them goes first in its share of the passes', (served, shares) => {
  const round = shares.reduce((sum, share) => sum + share, 0);
  expect(PRIORITY_NAMES.map((priority) => firstIn(passes(round, served), priority))).toEqual(shares);
});

test('every pass looks at each served priority once, and at no other', () => {
  const served = fc.subarray([...PRIORITY_NAMES], { minLength: 1 });
  fc.assert(
    fc.property(served, fc.nat(), (priorities, pass) => {
      expect(priorityOrder(pass, priorities).sort()).toEqual([...priorities].sort());
    }),
  );
});
