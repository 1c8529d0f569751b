import fc from 'fast-check';
import { LANE_NAMES, type Lane, laneOrder } from '../../src/domain/lanes';

const turns = (count: number, served: readonly Lane[]) =>
  Array.from({ length: count }, (_, turn) => laneOrder(turn, served));
const firstIn = (orders: Lane[][], lane: Lane) => orders.filter((order) => order[0] === lane).length;

test('of seven turns, high goes first in four, normal in two and low in one', () => {
  const week = turns(7, LANE_NAMES);
  expect(LANE_NAMES.map((lane) => firstIn(week, lane))).toEqual([4, 2, 1]);
  expect(turns(70, LANE_NAMES)).toEqual(Array(10).fill(week).flat());
});

test('no lane but high goes first twice in a row', () => {
  const firsts = turns(71, LANE_NAMES).map(([first]) => first);
  for (const [turn, first] of firsts.entries()) {
    if (turn > 0 && first === firsts[turn - 1]) expect(first).toBe('high');
  }
});

test('behind the first lane, the others stand by priority', () => {
  for (const order of turns(7, LANE_NAMES)) {
    expect(order.slice(1)).toEqual(LANE_NAMES.filter((lane) => lane !== order[0]));
  }
});

test.each<[Lane[], number[]]>([
  [
    ['normal', 'low'],
    [0, 2, 1],
  ],
  [
    ['high', 'low'],
    [4, 0, 1],
  ],
  [['low'], [0, 0, 1]],
])('with %j served, each of them goes first in its share of the turns', (served, shares) => {
  const round = shares.reduce((sum, share) => sum + share, 0);
  expect(LANE_NAMES.map((lane) => firstIn(turns(round, served), lane))).toEqual(shares);
});

test('every turn looks at each served lane once, and at no other', () => {
  const served = fc.subarray([...LANE_NAMES], { minLength: 1 });
  fc.assert(
    fc.property(served, fc.nat(), (lanes, turn) => {
      expect(laneOrder(turn, lanes).sort()).toEqual([...lanes].sort());
    }),
  );
});
