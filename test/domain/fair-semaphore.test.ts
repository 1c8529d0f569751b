import { createFairSemaphore, NotAdmitted, type SemaphoreLimits } from '../../src/concurrency/fair-semaphore';
import { createShares } from '../../src/concurrency/shares';

describe('semaphore', () => {
  /** Work that is begun in the order that is returned, and ends when `end` is called, the oldest first. */
  function work(semaphore: ReturnType<typeof createFairSemaphore>) {
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const ask = async (key: string, n: number) => {
      for (let i = 0; i < n; i++) {
        void semaphore.run(key, () => {
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

  test('a number of them is given at once', async () => {
    const { begun, ask, end } = work(createFairSemaphore({ atOnce: 3 }));
    await ask('a', 5);
    expect(begun).toHaveLength(3);
    await end();
    expect(begun).toHaveLength(4);
  });

  test('one key has a number of them at once, and others go past those that wait', async () => {
    const { begun, ask, end } = work(createFairSemaphore({ atOnce: 4, perKey: 2 }));
    await ask('a', 5);
    expect(begun).toEqual(['a', 'a']);
    await ask('b', 3);
    expect(begun).toEqual(['a', 'a', 'b', 'b']);
    await end();
    expect(begun.slice(4)).toEqual(['a']);
  });

  test('a key with much work is served once between those of the others', async () => {
    const { begun, ask, end, waiting } = work(createFairSemaphore({ atOnce: 1 }));
    await ask('a', 4);
    await ask('b', 2);
    await ask('c', 1);
    while (waiting() > 0) await end();
    expect(begun).toEqual(['a', 'a', 'b', 'c', 'a', 'b', 'a']);
  });

  test('work that fails releases its permit', async () => {
    const semaphore = createFairSemaphore({ atOnce: 1 });
    await expect(semaphore.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await semaphore.run('a', async () => 'yes')).toBe('yes');
  });

  test('a number of one key may wait; one more is refused, and others are not', async () => {
    const semaphore = createFairSemaphore({ atOnce: 1, maxWaiting: 1 });
    const { begun, ask, end } = work(semaphore);
    await ask('a', 2);
    await expect(semaphore.run('a', async () => undefined)).rejects.toThrow(NotAdmitted);
    await ask('b', 1);
    await end();
    await end();
    expect(begun).toEqual(['a', 'a', 'b']);
    await end();
    expect(await semaphore.run('a', async () => 'again')).toBe('again');
  });

  test('nobody waits any more where they are closed; what has begun goes on', async () => {
    const semaphore = createFairSemaphore({ atOnce: 1 });
    const { begun, ask, waiting } = work(semaphore);
    await ask('a', 1);
    const late = ['a', 'b'].map((key) => semaphore.run(key, async () => undefined));
    semaphore.close();
    const ends = await Promise.allSettled(late);
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(semaphore.run('b', async () => undefined)).rejects.toThrow(NotAdmitted);
    expect(begun).toEqual(['a']);
    expect(waiting()).toBe(1);
  });

  describe('with a rest', () => {
    /** Time passes when a test says so. */
    function resting(limits: SemaphoreLimits) {
      let now = 0;
      let sleeping: { untilMs: number; wake: () => void }[] = [];
      const clock = {
        now: () => now,
        after: (ms: number, wake: () => void) => void sleeping.push({ untilMs: now + ms, wake }),
      };
      const pass = async (ms: number) => {
        now += ms;
        const due = sleeping.filter(({ untilMs }) => untilMs <= now);
        sleeping = sleeping.filter(({ untilMs }) => untilMs > now);
        for (const { wake } of due) wake();
        await new Promise(setImmediate);
      };
      return { ...work(createFairSemaphore(limits, clock)), pass, asleep: () => sleeping.length };
    }

    test('work of a key is followed by a rest so many times as long', async () => {
      const { begun, ask, end, pass, asleep } = resting({ atOnce: 2, perKey: 1, restFactor: 4 });
      await ask('a', 3);
      await pass(10);
      await end();
      await pass(39);
      expect(begun).toEqual(['a']);
      await pass(1);
      expect(begun).toEqual(['a', 'a']);
      // Each rest is after its own work.
      await pass(5);
      await end();
      await pass(20);
      expect(begun).toEqual(['a', 'a', 'a']);
      await pass(1);
      await end();
      await pass(4);
      expect(asleep()).toBe(0);
    });

    test('only a key that has to rests', async () => {
      const rests = (key: string) => key === 'a';
      const { begun, ask, end, pass } = resting({ atOnce: 2, perKey: 1, restFactor: 4, rests });
      await ask('a', 2);
      await ask('b', 2);
      await pass(10);
      await end();
      await end();
      expect(begun).toEqual(['a', 'b', 'b']);
      await pass(40);
      expect(begun).toEqual(['a', 'b', 'b', 'a']);
    });

    test('a rest has a limit', async () => {
      const { begun, ask, end, pass } = resting({ atOnce: 1, restFactor: 4, maxRestMs: 100 });
      await ask('a', 2);
      await pass(1_000);
      await end();
      await pass(99);
      expect(begun).toHaveLength(1);
      await pass(1);
      expect(begun).toHaveLength(2);
    });

    test('others go on at once', async () => {
      const { begun, ask, end, pass } = resting({ atOnce: 1, restFactor: 4 });
      await ask('a', 3);
      await ask('b', 1);
      await pass(10);
      await end();
      expect(begun).toEqual(['a', 'b']);
      await end();
      await ask('c', 1);
      expect(begun).toEqual(['a', 'b', 'c']);
    });

    test("a key's other places have no rest", async () => {
      const { begun, ask, end, pass } = resting({ atOnce: 4, perKey: 2, restFactor: 4 });
      await ask('a', 4);
      await pass(10);
      await end();
      expect(begun).toHaveLength(2);
      await pass(30);
      await end();
      await pass(10);
      expect(begun).toHaveLength(3);
      await pass(149);
      expect(begun).toHaveLength(3);
      await pass(1);
      expect(begun).toHaveLength(4);
    });

    test('what comes after a rest begins at once', async () => {
      const { begun, ask, end, pass } = resting({ atOnce: 1, restFactor: 4 });
      await ask('a', 1);
      await pass(10);
      await end();
      await pass(40);
      await ask('a', 1);
      expect(begun).toEqual(['a', 'a']);
    });
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
