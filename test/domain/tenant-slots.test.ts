import { TenantSlots, withReserve } from '../../src/concurrency/tenant-slots';

/** Takes slots for a tenant that keeps them, until it gets none. */
function fill(slots: TenantSlots, tenant: string): number {
  let taken = 0;
  while (slots.mayTake(tenant)) {
    slots.take(tenant);
    taken++;
  }
  return taken;
}

test.each([1, 2, 16, 200, 1_024])('a tenant alone gets all of %d slots, and no more', (capacity) => {
  expect(fill(new TenantSlots(capacity), 'a')).toBe(capacity);
});

test.each([
  [16, 2],
  [200, 15],
  [1_024, 22],
])(
  'beside one that holds all of %d slots, %d that come one after the other find room at once',
  (capacity, newcomers) => {
    const slots = new TenantSlots(capacity);
    fill(slots, 'first');
    const got = Array.from({ length: newcomers }, (_, n) => fill(slots, `${n}`));
    expect(Math.min(...got)).toBeGreaterThan(0);
    // Whoever came sooner has no less.
    expect(got).toEqual([...got].sort((a, b) => b - a));
    let total = capacity;
    for (const count of got) total += count;
    expect(total).toBeLessThanOrEqual(withReserve(capacity));
  },
);

test('slots that come back are for those who hold little first', () => {
  const slots = new TenantSlots(100);
  fill(slots, 'first');
  fill(slots, 'second');
  for (let n = 0; n < 3; n++) slots.release('first');
  expect(slots.mayTake('first')).toBe(false);
  expect(slots.mayTake('third')).toBe(true);
  expect(slots.allowance.free).toBe(0);
});

test('what is given back twice counts once', () => {
  const slots = new TenantSlots(10);
  slots.take('a');
  slots.release('a');
  slots.release('a');
  expect(slots.left).toBe(withReserve(10));
  expect(slots.allowance.held.size).toBe(0);
});
