import { FairQueue } from '../../src/concurrency/fair-queue';

const all = <T>(queue: FairQueue<T>) => {
  const taken: T[] = [];
  while (queue.size > 0) taken.push(queue.shift()!);
  return taken;
};

test('owners take turns, and each one’s items keep their order', () => {
  const queue = new FairQueue<string>(100);
  for (let n = 1; n <= 4; n++) queue.push('a', `a${n}`);
  queue.push('b', 'b1');
  expect(queue.shift()).toBe('a1');
  queue.push('c', 'c1');
  expect(all(queue)).toEqual(['b1', 'a2', 'c1', 'a3', 'a4']);
  expect(queue.shift()).toBeUndefined();
});

test('what is put back is its owner’s next one', () => {
  const queue = new FairQueue<string>(100);
  for (const item of ['a1', 'a2']) queue.push('a', item);
  queue.unshift('a', queue.shift()!);
  expect(all(queue)).toEqual(['a1', 'a2']);
});

test('where it is full, whoever has most loses its newest one, whoever came last', () => {
  const queue = new FairQueue<string>(4);
  for (let n = 1; n <= 10; n++) queue.push('a', `a${n}`);
  queue.push('b', 'b1');
  queue.push('c', 'c1');
  expect(all(queue)).toEqual(['a1', 'b1', 'c1', 'a2']);
});
