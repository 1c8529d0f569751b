import { createRests, restAfter } from '../../src/concurrency/rest';

test.each([
  [10, 90],
  [1, 50],
  [0, 50],
  [1_000, 5_000],
])('after %s ms of work: %s ms', (tookMs, restMs) => {
  expect(restAfter(tookMs, { factor: 9, minMs: 50, maxMs: 5_000 })).toBe(restMs);
});

describe('rests', () => {
  let now = 0;
  const rests = (maxKeys = 10) => createRests(maxKeys, { now: () => now });
  beforeEach(() => {
    now = 0;
  });

  test('end by themselves, each at its time', () => {
    const { begin, keys, firstEndsInMs } = rests();
    expect(firstEndsInMs()).toBe(Number.POSITIVE_INFINITY);
    begin('a', 100);
    begin('b', 40);
    expect(firstEndsInMs()).toBe(40);
    now = 39;
    expect(keys()).toEqual(['a', 'b']);
    now = 40;
    expect(keys()).toEqual(['a']);
    expect(firstEndsInMs()).toBe(60);
    now = 100;
    expect(keys()).toEqual([]);
  });

  test('the last word counts', () => {
    const { begin, keys } = rests();
    begin('a', 100);
    begin('a', 10);
    now = 10;
    expect(keys()).toEqual([]);
  });

  test('are forgotten where there are too many, the first one first', () => {
    const { begin, keys } = rests(2);
    for (const key of ['a', 'b', 'c']) begin(key, 100);
    expect(keys()).toEqual(['b', 'c']);
  });
});
