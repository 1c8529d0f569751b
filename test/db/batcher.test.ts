import { createBatcher } from '../../src/concurrency/batcher';

/** A batcher whose batches end when the test says so. */
function held(settings: Partial<Parameters<typeof createBatcher<string, string>>[1]> = {}) {
  const batches: { items: string[]; end: () => void; fail: (error: Error) => void }[] = [];
  const add = createBatcher<string, string>(
    (items) =>
      new Promise((resolve, reject) => {
        batches.push({ items, end: () => resolve(items.map((item) => item.toUpperCase())), fail: reject });
      }),
    { maxItems: 3, maxRunning: 1, ...settings },
  );
  return { add, batches, items: () => batches.map((batch) => batch.items) };
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('the first is served at once, those that come meanwhile share the next, at most so many', async () => {
  const { add, batches, items } = held();
  const outs = [add('a')];
  await turn();
  outs.push(...['b', 'c', 'd', 'e'].map(add));
  await turn();
  expect(items()).toEqual([['a']]);
  batches[0]!.end();
  await turn();
  expect(items()).toEqual([['a'], ['b', 'c', 'd']]);
  batches[1]!.end();
  await turn();
  batches[2]!.end();
  expect(await Promise.all(outs)).toEqual(['A', 'B', 'C', 'D', 'E']);
});

test('a number of batches runs at once, and no more', async () => {
  const { add, batches, items } = held({ maxItems: 1, maxRunning: 2 });
  const outs = ['a', 'b', 'c'].map(add);
  await turn();
  expect(items()).toEqual([['a'], ['b']]);
  batches[1]!.end();
  await turn();
  expect(items()).toEqual([['a'], ['b'], ['c']]);
  batches[0]!.end();
  batches[2]!.end();
  expect(await Promise.all(outs)).toEqual(['A', 'B', 'C']);
});

test('items with one key never share a batch, and stay in their order', async () => {
  const { add, batches, items } = held({ maxItems: 10, keyOf: (item) => item[0] });
  const outs = ['a1', 'a2', 'b1', 'c1'].map(add);
  for (let n = 0; n < 3; n++) {
    await turn();
    batches[n]?.end();
  }
  await Promise.all(outs);
  expect(items().flat()).toEqual(['a1', 'a2', 'b1', 'c1']);
  for (const batch of items()) expect(new Set(batch.map((item) => item[0])).size).toBe(batch.length);
});

test('a batch is no heavier than it may be; what is heavier goes alone', async () => {
  const { add, batches, items } = held({ maxItems: 10, weightOf: (item) => item.length, maxWeight: 4 });
  const outs = ['aa', 'bb', 'c', 'dddddd', 'e'].map(add);
  for (let n = 0; n < 4; n++) {
    await turn();
    batches[n]?.end();
  }
  await Promise.all(outs);
  expect(items()).toEqual([['aa', 'bb'], ['c'], ['dddddd'], ['e']]);
});

test('a batch that fails fails for its own items only', async () => {
  const { add, batches } = held({ maxItems: 2 });
  const outs = ['a', 'b', 'c'].map(add);
  const settled = Promise.allSettled(outs);
  await turn();
  batches[0]!.fail(new Error('no'));
  await turn();
  batches[1]!.end();
  expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
});

test('a promise among the answers is the outcome of its own item', async () => {
  const add = createBatcher<number, number>(
    async (items) => items.map((n) => (n === 2 ? Promise.reject(new Error('two')) : n)),
    { maxItems: 10, maxRunning: 1 },
  );
  const settled = await Promise.allSettled([1, 2, 3].map(add));
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});

describe('after an error that one item may be to blame for', () => {
  /** Batches in which `bad` is are refused whole; what was run, in order. */
  function refusing(message: string) {
    const ran: string[][] = [];
    const add = createBatcher<string, string>(
      async (items) => {
        ran.push(items);
        if (items.includes('bad')) throw new Error(message);
        return items.map((item) => item.toUpperCase());
      },
      { maxItems: 10, maxRunning: 1, aloneAfter: (error) => (error as Error).message === 'refused' },
    );
    return { ran, all: (...items: string[]) => Promise.allSettled(items.map(add)) };
  }

  test('each item is tried alone, and only that one fails', async () => {
    const { ran, all } = refusing('refused');
    expect(await all('a', 'bad', 'b')).toEqual([
      { status: 'fulfilled', value: 'A' },
      { status: 'rejected', reason: new Error('refused') },
      { status: 'fulfilled', value: 'B' },
    ]);
    expect(ran).toEqual([['a', 'bad', 'b'], ['a'], ['bad'], ['b']]);
  });

  test('what was alone already is not tried again', async () => {
    const { ran, all } = refusing('refused');
    expect(await all('bad')).toEqual([{ status: 'rejected', reason: new Error('refused') }]);
    expect(ran).toEqual([['bad']]);
  });

  test('after any other error nothing is tried again: it may have been done', async () => {
    const { ran, all } = refusing('the connection was lost');
    expect((await all('a', 'bad')).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(ran).toEqual([['a', 'bad']]);
  });
});
