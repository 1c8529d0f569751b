import { createReplayCapacity, type ReplayCapacity } from '../../src/activities/replay-capacity';
import { NotAdmitted } from '../../src/concurrency/fair-semaphore';

/** Work that ends with the test. */
const endless = () => new Promise<void>(() => undefined);
const page = (capacity: ReplayCapacity, tenant: string, begun: string[]) =>
  capacity.enter('pages', tenant, (withPermit) =>
    withPermit(() => {
      begun.push(tenant);
      return endless();
    }),
  );
const settled = async (all: Promise<unknown>[]) => {
  const ends: string[] = all.map(() => 'waits');
  all.forEach((one, n) => {
    one.then(
      () => (ends[n] = 'done'),
      (error) => (ends[n] = error.name),
    );
  });
  await new Promise(setImmediate);
  return ends;
};

test('one replay of a tenant works, some wait for their turn, and the others come back later', async () => {
  const capacity = createReplayCapacity(3);
  const begun: string[] = [];
  const ends = await settled(Array.from({ length: 6 }, () => page(capacity, 'a', begun)));
  expect(ends).toEqual([...Array(4).fill('waits'), 'NotAdmitted', 'NotAdmitted']);
  expect(begun).toEqual(['a']);
  void page(capacity, 'b', begun);
  await new Promise(setImmediate);
  expect(begun).toEqual(['a', 'b']);
});

test('counting is in hand beside the pages, and has its turn between them', async () => {
  const capacity = createReplayCapacity(3);
  const begun: string[] = [];
  for (let n = 0; n < 4; n++) void page(capacity, 'a', begun);
  const counts = Array.from({ length: 3 }, () => capacity.enter('counts', 'a', (withPermit) => withPermit(endless)));
  expect(await settled(counts)).toEqual(['waits', 'waits', 'NotAdmitted']);
});

test('a place is given back by what ends and by what fails', async () => {
  const capacity = createReplayCapacity(3);
  for (let n = 0; n < 10; n++) {
    expect(await capacity.enter('pages', 'a', async () => n)).toBe(n);
    await expect(capacity.enter('pages', 'a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  }
});

test('nobody waits where it is closed', async () => {
  const capacity = createReplayCapacity(3);
  const begun: string[] = [];
  const pages = Array.from({ length: 3 }, () => page(capacity, 'a', begun));
  capacity.close();
  expect(await settled(pages)).toEqual(['waits', 'NotAdmitted', 'NotAdmitted']);
  // What comes later is of no use either: its turn would come after the rest.
  await expect(page(capacity, 'a', begun)).rejects.toThrow(NotAdmitted);
});
