import { setImmediate } from 'node:timers/promises';
import { createTimeSlices, type TimeSlices } from '../../src/api/http/time-slices';
import { oneStep, type Steps } from '../../src/domain/work-budget';

/** Work of so many steps, each of which takes a slice; tells where it is. */
function* work(steps: number, onStep: (step: number) => void = () => {}): Steps<string> {
  for (let step = 1; step <= steps; step++) {
    onStep(step);
    yield;
  }
  return 'done';
}

let slices: TimeSlices;
beforeEach(() => {
  slices = createTimeSlices({ sliceMs: 0 });
});

test('short work is done at once, and gives what it gives or throws what it throws', async () => {
  const roomy = createTimeSlices({ sliceMs: 60_000 });
  const steps: number[] = [];
  const done = roomy.run(
    'a',
    work(3, (step) => steps.push(step)),
  );
  expect(steps).toEqual([1, 2, 3]);
  expect(await done).toBe('done');
  await expect(
    roomy.run(
      'a',
      oneStep(() => {
        throw new Error('its own');
      }),
    ),
  ).rejects.toThrow('its own');
});

test('while long work goes on, everything else has its turn of the event loop', async () => {
  let seen = 0;
  let ended = false;
  const long = slices
    .run(
      'a',
      work(200, (step) => (seen = step)),
    )
    .then(() => (ended = true));
  const others: number[] = [];
  for (let n = 0; n < 50 && !ended; n++) {
    await setImmediate();
    others.push(seen);
  }
  expect(new Set(others).size).toBeGreaterThan(10);
  expect(others.at(-1)).toBeLessThan(200);
  await long;
  expect(seen).toBe(200);
});

test('tenants take slices, however much one of them has; each one’s work is done in its order', async () => {
  const log: string[] = [];
  const run = (tenant: string, name: string, steps: number) =>
    slices.run(tenant, work(steps)).then(() => log.push(name));
  const heavy = Array.from({ length: 20 }, (_, n) => run('heavy', `heavy ${n}`, 20));
  await Promise.all([run('other', 'other 1', 3), run('third', 'third', 5), run('other', 'other 2', 3)]);
  expect(log).not.toContain('heavy 0');
  expect(log).toEqual(['other 1', 'third', 'other 2']);
  await Promise.all(heavy);
  expect(log.slice(3)).toEqual(Array.from({ length: 20 }, (_, n) => `heavy ${n}`));
});

test('work that throws in the middle ends for itself only', async () => {
  function* failing(): Steps<void> {
    yield;
    yield;
    throw new Error('its own');
  }
  const [bad, good, other] = await Promise.allSettled([
    slices.run('a', failing()),
    slices.run('a', work(5)),
    slices.run('b', work(5)),
  ]);
  expect(bad).toMatchObject({ status: 'rejected', reason: { message: 'its own' } });
  expect([good, other]).toEqual(Array(2).fill({ status: 'fulfilled', value: 'done' }));
});

test('beside others a tenant leaves the next slices to them, also to who comes while it rests', async () => {
  const log: string[] = [];
  const shared = createTimeSlices({ sliceMs: 0, isAlone: () => false });
  function* slow(name: string, steps: number): Steps<void> {
    for (let step = 1; step <= steps; step++) {
      log.push(`${name} ${step}`);
      for (const until = performance.now() + 5; performance.now() < until; );
      yield;
    }
  }
  const heavy = shared.run('heavy', slow('heavy', 3));
  while (log.length === 0) await setImmediate();
  const other = shared.run('other', slow('other', 1));
  await Promise.all([heavy, other]);
  expect(log).toEqual(['heavy 1', 'other 1', 'heavy 2', 'heavy 3']);
});

describe('large requests of one tenant', () => {
  const MIB = 1024 * 1024;

  test('are four at once; the next ones wait in their order, and no other tenant does', async () => {
    const log: string[] = [];
    const enter = async (tenant: string, name: string) => {
      const leave = await slices.admit(tenant, MIB);
      log.push(name);
      return leave;
    };
    const inside = await Promise.all([1, 2, 3, 4].map((n) => enter('a', `${n}`)));
    const waiting = [5, 6].map((n) => enter('a', `${n}`));
    await enter('b', 'b');
    expect(log).toEqual(['1', '2', '3', '4', 'b']);
    inside[0]!();
    const fifth = await waiting[0]!;
    expect(log.at(-1)).toBe('5');
    fifth();
    await waiting[1];
    expect(log.at(-1)).toBe('6');
  });

  test('that wait are 16 MiB at most: what is over it is refused, and says when to come again', async () => {
    const inside = await Promise.all([1, 2, 3, 4].map(() => slices.admit('a', MIB)));
    const waiting = Array.from({ length: 16 }, () => slices.admit('a', MIB));
    await expect(slices.admit('a', 1)).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 1 });
    for (const leave of inside) leave();
    for (const entered of waiting) (await entered)();
    // All places are free again.
    await Promise.all([1, 2, 3, 4].map(() => slices.admit('a', MIB)));
  });
});
