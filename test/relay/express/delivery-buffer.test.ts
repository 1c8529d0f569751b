import { DeliveryBuffer } from '../../../src/relay/express/delivery-buffer';

let now: number;
let buffer: DeliveryBuffer<string>;
beforeEach(() => {
  now = 1_000;
  buffer = new DeliveryBuffer(() => now);
});

function push(...deliveries: string[]): void {
  for (const delivery of deliveries) buffer.push(delivery, { rateLimited: false });
}
function deliver(count: number): void {
  for (let n = 0; n < count; n++) buffer.onDelivered();
}

test('deliveries leave in the order in which they came', () => {
  push('a', 'b', 'c');
  expect(buffer.next).toBe('a');
  expect(buffer.shift()).toBe('a');
  expect(buffer.next).toBe('b');
  expect(buffer.drain()).toEqual(['b', 'c']);
  expect([buffer.next, buffer.size]).toEqual([undefined, 0]);
});

test('while any failed attempt is not recorded, nothing is next', () => {
  push('a');
  const recorded = [buffer.onFailed(), buffer.onFailed()];
  recorded[0]!();
  expect(buffer.next).toBeUndefined();
  expect(buffer.oldest).toBe('a');
  recorded[1]!();
  expect(buffer.next).toBe('a');
});

test.each([
  [0, 0, 0],
  [7, 0, 7],
  [7, 60, 7],
  [7, 120, 0],
  [500, 0, 200],
])('of %d deliveries, the limit of the prefetch %d ms later is %d', (delivered, laterMs, limit) => {
  deliver(delivered);
  now += laterMs;
  expect(buffer.prefetchLimit).toBe(limit);
});

test('of a webhook with a rate limit nothing is prefetched, until a claim says that it has none', () => {
  deliver(7);
  buffer.push('a', { rateLimited: true });
  expect([buffer.rateLimited, buffer.prefetchLimit]).toEqual([true, 0]);
  buffer.push('b', { rateLimited: false });
  expect([buffer.rateLimited, buffer.prefetchLimit]).toEqual([false, 7]);
});

test.each([
  ['brought as many as it might', 4, 4, true],
  ['brought fewer than it might', 3, 4, false],
  ['brought none, and might have', 0, 4, false],
  ['might not have brought any', 0, 0, true],
  ['might not have brought any, of a webhook to skip', 0, -1_000_000, true],
])('after a claim that %s, there may be more: %4$s', (_, got, allowed, more) => {
  buffer.noteClaim(1, 1);
  buffer.noteClaim(got, allowed);
  expect(buffer.wantsMore).toBe(more);
});

test('more is wanted once half of what may wait here has gone', () => {
  deliver(4);
  buffer.noteClaim(3, 3);
  push('a', 'b', 'c');
  expect(buffer.wantsMore).toBe(false);
  buffer.shift();
  expect(buffer.wantsMore).toBe(true);
});

test('a back-off is new once, and ends', () => {
  expect([buffer.backOff(1_000), buffer.backOff(1_000)]).toEqual([true, false]);
  now += 999;
  expect(buffer.backsOff).toBe(true);
  now += 1;
  expect(buffer.backsOff).toBe(false);
  expect(buffer.backOff(1_000)).toBe(true);
});

test('a buffer is idle when nothing waits, was delivered of late, failed or backs off', () => {
  const isIdleAfter = (change: () => void) => {
    buffer = new DeliveryBuffer(() => now);
    change();
    return buffer.isIdle;
  };
  expect(isIdleAfter(() => undefined)).toBe(true);
  expect(isIdleAfter(() => push('a'))).toBe(false);
  expect(isIdleAfter(() => deliver(1))).toBe(false);
  expect(isIdleAfter(() => buffer.onFailed())).toBe(false);
  expect(isIdleAfter(() => buffer.backOff(1))).toBe(false);
});
