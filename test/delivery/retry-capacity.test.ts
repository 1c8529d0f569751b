import { createRetryCapacity, MAX_WAITING, NoCapacity } from '../../src/delivery/retry-capacity';
import { until } from '../support/until';

/** Takes all slots of a tenant; returns what releases them, one by one. */
async function fill(capacity: ReturnType<typeof createRetryCapacity>, tenant: string, count: number) {
  return Promise.all(Array.from({ length: count }, () => capacity.enter(tenant)));
}

test('a tenant alone gets all slots; what is more waits, and goes in order as slots are released', async () => {
  const capacity = createRetryCapacity(4);
  const leave = await fill(capacity, 'a', 4);
  const entered: number[] = [];
  const rest = [1, 2, 3].map(async (n) => {
    await capacity.enter('a');
    entered.push(n);
  });
  leave[0]!();
  leave[1]!();
  await Promise.all(rest.slice(0, 2));
  expect(entered).toEqual([1, 2]);
  leave[2]!();
  await rest[2];
});

test('another tenant gets a slot at once, and goes first when more are released', async () => {
  const capacity = createRetryCapacity(8);
  const leave = await fill(capacity, 'a', 8);
  const entered: string[] = [];
  const waits = (tenant: string) => capacity.enter(tenant).then(() => void entered.push(tenant));
  for (let n = 0; n < 4; n++) void waits('a').catch(() => undefined);
  await capacity.enter('b');
  void waits('b').catch(() => undefined);
  // The first slot that comes free only makes good what was taken beyond the capacity.
  for (const end of leave.slice(0, 2)) end();
  await until('the next one to go in', async () => entered.length > 0);
  expect(entered).toEqual(['b']);
  capacity.close();
});

test('who finds none in time is told to come back, and one of a tenant of which many wait is told so at once', async () => {
  const capacity = createRetryCapacity(1);
  await capacity.enter('a');
  const waiting = Array.from({ length: MAX_WAITING }, () => capacity.enter('a'));
  for (const one of waiting) one.catch(() => undefined);
  await expect(capacity.enter('a')).rejects.toMatchObject({ waited: false });
  // Another tenant may wait all the same.
  await capacity.enter('b');
  const other = capacity.enter('b');
  await expect(other).rejects.toMatchObject({ waited: true });
  for (const one of waiting) await expect(one).rejects.toBeInstanceOf(NoCapacity);
});

test('nobody waits in a worker that stops', async () => {
  const capacity = createRetryCapacity(1);
  const leave = await capacity.enter('a');
  const waiting = capacity.enter('a');
  capacity.close();
  await expect(waiting).rejects.toBeInstanceOf(NoCapacity);
  leave();
  await expect(capacity.enter('a')).rejects.toBeInstanceOf(NoCapacity);
});

test('to leave twice releases a slot once', async () => {
  const capacity = createRetryCapacity(1);
  const leave = await capacity.enter('a');
  leave();
  leave();
  await capacity.enter('a');
  const second = capacity.enter('a');
  capacity.close();
  await expect(second).rejects.toBeInstanceOf(NoCapacity);
});
