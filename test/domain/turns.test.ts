import { createShares } from '../../src/domain/shares';
import { createTurns } from '../../src/domain/turns';

describe('turns', () => {
  /** Work that is begun in the order that is returned, and ends when `end` is called, the oldest first. */
  function work(turns: ReturnType<typeof createTurns>) {
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const ask = async (key: string, n: number) => {
      for (let i = 0; i < n; i++) {
        void turns.run(key, () => {
          begun.push(key);
          return new Promise<void>((resolve) => ends.push(resolve));
        });
      }
      await new Promise(setImmediate);
    };
    const end = async () => {
      ends.shift()!();
      await new Promise(setImmediate);
    };
    return { begun, ask, end, waiting: () => ends.length };
  }

  test('so many at once', async () => {
    const { begun, ask, end } = work(createTurns(3));
    await ask('a', 5);
    expect(begun).toHaveLength(3);
    await end();
    expect(begun).toHaveLength(4);
  });

  test('so many of one key at once, and others go past those that wait', async () => {
    const { begun, ask, end } = work(createTurns(4, 2));
    await ask('a', 5);
    expect(begun).toEqual(['a', 'a']);
    await ask('b', 3);
    expect(begun).toEqual(['a', 'a', 'b', 'b']);
    await end();
    expect(begun.slice(4)).toEqual(['a']);
  });

  test('whoever asks for much has one turn between those of the others', async () => {
    const { begun, ask, end, waiting } = work(createTurns(1));
    await ask('a', 4);
    await ask('b', 2);
    await ask('c', 1);
    while (waiting() > 0) await end();
    expect(begun).toEqual(['a', 'a', 'b', 'c', 'a', 'b', 'a']);
  });

  test('a turn is given back by work that fails', async () => {
    const turns = createTurns(1);
    await expect(turns.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await turns.run('a', async () => 'yes')).toBe('yes');
  });
});

describe('shares', () => {
  test.each<[string, string[], (boolean | string)[]]>([
    ['of one key', ['a', 'a', 'a'], [true, true, false]],
    ['of all', ['a', 'b', 'c', 'd'], [true, true, true, false]],
    ['a full key leaves the others theirs', ['a', 'a', 'a', 'b'], [true, true, false, true]],
  ])('%s', (_, keys, taken) => {
    const shares = createShares({ perKey: 2, total: 3 });
    expect(keys.map((key) => shares.take(key) !== undefined)).toEqual(taken);
  });

  test('what is given back twice counts once', () => {
    const shares = createShares({ perKey: 1, total: 2 });
    const back = shares.take('a')!;
    expect(shares.take('a')).toBeUndefined();
    back();
    back();
    expect(shares.take('a')).toBeDefined();
    expect(shares.take('b')).toBeDefined();
    expect(shares.take('c')).toBeUndefined();
  });
});
