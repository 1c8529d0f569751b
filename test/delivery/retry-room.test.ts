import { createRetryRoom, MAX_WAITING, NoRoom } from '../../src/delivery/retry-room';
import { until } from '../support/until';

/** Takes all room of a tenant; returns what gives it back, one by one. */
async function fill(room: ReturnType<typeof createRetryRoom>, tenant: string, count: number) {
  return Promise.all(Array.from({ length: count }, () => room.enter(tenant)));
}

test('a tenant alone gets all room, what is more waits, and goes in its order when room comes', async () => {
  const room = createRetryRoom(4);
  const leave = await fill(room, 'a', 4);
  const entered: number[] = [];
  const rest = [1, 2, 3].map(async (n) => {
    await room.enter('a');
    entered.push(n);
  });
  leave[0]!();
  leave[1]!();
  await Promise.all(rest.slice(0, 2));
  expect(entered).toEqual([1, 2]);
  leave[2]!();
  await rest[2];
});

test('another tenant finds room at once, and goes first when more comes', async () => {
  const room = createRetryRoom(8);
  const leave = await fill(room, 'a', 8);
  const entered: string[] = [];
  const waits = (tenant: string) => room.enter(tenant).then(() => void entered.push(tenant));
  for (let n = 0; n < 4; n++) void waits('a').catch(() => undefined);
  await room.enter('b');
  void waits('b').catch(() => undefined);
  // The first slot that comes free only makes good what was taken beyond the capacity.
  for (const end of leave.slice(0, 2)) end();
  await until('the next one to go in', async () => entered.length > 0);
  expect(entered).toEqual(['b']);
  room.close();
});

test('who finds none in time is told to come back, and one of a tenant of which many wait is told so at once', async () => {
  const room = createRetryRoom(1);
  await room.enter('a');
  const waiting = Array.from({ length: MAX_WAITING }, () => room.enter('a'));
  for (const one of waiting) one.catch(() => undefined);
  await expect(room.enter('a')).rejects.toMatchObject({ waited: false });
  // Another tenant may wait all the same.
  await room.enter('b');
  const other = room.enter('b');
  await expect(other).rejects.toMatchObject({ waited: true });
  for (const one of waiting) await expect(one).rejects.toBeInstanceOf(NoRoom);
});

test('nobody waits in a worker that stops', async () => {
  const room = createRetryRoom(1);
  const leave = await room.enter('a');
  const waiting = room.enter('a');
  room.close();
  await expect(waiting).rejects.toBeInstanceOf(NoRoom);
  leave();
  await expect(room.enter('a')).rejects.toBeInstanceOf(NoRoom);
});

test('to leave twice gives room back once', async () => {
  const room = createRetryRoom(1);
  const leave = await room.enter('a');
  leave();
  leave();
  await room.enter('a');
  const second = room.enter('a');
  room.close();
  await expect(second).rejects.toBeInstanceOf(NoRoom);
});
