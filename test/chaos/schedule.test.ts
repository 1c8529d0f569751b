import { drawSchedule, ROLE_NAMES } from '../../chaos/schedule';

const SEEDS = [1, 2, 3, 4, 5, 4711];
const MINUTE_MS = 60_000;

test('a seed and a length give one schedule, another seed another one', () => {
  expect(drawSchedule(7, MINUTE_MS)).toEqual(drawSchedule(7, MINUTE_MS));
  expect(drawSchedule(7, MINUTE_MS)).not.toEqual(drawSchedule(8, MINUTE_MS));
});

test.each(SEEDS)('seed %i: faults are over in time, and nothing is disturbed in two ways at once', (seed) => {
  for (const lengthMs of [MINUTE_MS, 5 * MINUTE_MS]) {
    const faults = drawSchedule(seed, lengthMs);
    expect(faults.length).toBeGreaterThanOrEqual(lengthMs / 10_000);
    for (const [i, fault] of faults.entries()) {
      expect(fault.atMs + fault.forMs).toBeLessThan(lengthMs);
      const others = faults.filter((other, j) => j < i && other.atMs + other.forMs >= fault.atMs);
      expect(others.length).toBeLessThan(3);
      expect(others.map(({ target }) => target)).not.toContain(fault.target);
    }
  }
});

test('five minutes disturb every role, both servers and ways between them, in every way there is', () => {
  const faults = SEEDS.flatMap((seed) => drawSchedule(seed, 5 * MINUTE_MS));
  const targets = new Set(faults.map(({ target }) => target));
  for (const target of [
    ...ROLE_NAMES,
    'postgres',
    'temporal',
    'worker-1>postgres',
    'worker-2>temporal',
    'clients>api-1',
  ]) {
    expect(targets).toContain(target);
  }
  expect(new Set(faults.map(({ kind }) => kind))).toEqual(
    new Set(['kill9', 'term', 'stop', 'immediate', 'wipe', 'hold', 'cut']),
  );
  // Longer than a worker that hangs is taken for alive.
  expect(faults.some(({ kind, forMs }) => kind === 'stop' && forMs > 60_000)).toBe(true);
});
