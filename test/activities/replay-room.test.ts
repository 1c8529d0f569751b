import { createReplayRoom, type ReplayRoom } from '../../src/activities/replay-room';
import { NoTurn } from '../../src/concurrency/fair-turns';

/** Work that ends with the test. */
const endless = () => new Promise<void>(() => undefined);
const page = (room: ReplayRoom, tenant: string, begun: string[]) =>
  room.enter('pages', tenant, (inTurn) =>
    inTurn(() => {
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
  const room = createReplayRoom(3);
  const begun: string[] = [];
  const ends = await settled(Array.from({ length: 6 }, () => page(room, 'a', begun)));
  expect(ends).toEqual([...Array(4).fill('waits'), 'NoTurn', 'NoTurn']);
  expect(begun).toEqual(['a']);
  void page(room, 'b', begun);
  await new Promise(setImmediate);
  expect(begun).toEqual(['a', 'b']);
});

test('counting is in hand beside the pages, and has its turn between them', async () => {
  const room = createReplayRoom(3);
  const begun: string[] = [];
  for (let n = 0; n < 4; n++) void page(room, 'a', begun);
  const counts = Array.from({ length: 3 }, () => room.enter('counts', 'a', (inTurn) => inTurn(endless)));
  expect(await settled(counts)).toEqual(['waits', 'waits', 'NoTurn']);
});

test('a place is given back by what ends and by what fails', async () => {
  const room = createReplayRoom(3);
  for (let n = 0; n < 10; n++) {
    expect(await room.enter('pages', 'a', async () => n)).toBe(n);
    await expect(room.enter('pages', 'a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  }
});

test('nobody waits where it is closed', async () => {
  const room = createReplayRoom(3);
  const begun: string[] = [];
  const pages = Array.from({ length: 3 }, () => page(room, 'a', begun));
  room.close();
  expect(await settled(pages)).toEqual(['waits', 'NoTurn', 'NoTurn']);
  // What comes later is of no use either: its turn would come after the rest.
  await expect(page(room, 'a', begun)).rejects.toThrow(NoTurn);
});
