import { createHeldBack } from '../src/http/held-back';

let nowMs: number;
const heldBack = () => {
  nowMs = 0;
  return createHeldBack(() => nowMs);
};
const admitted = (addresses: ReturnType<typeof heldBack>, address: string, times: number) =>
  Array.from({ length: times }, () => addresses.admit(address)).filter(Boolean).length;

test('an address is held back for 10 s after its last offence', () => {
  const addresses = heldBack();
  expect(addresses.is('held_back', '192.0.2.1')).toBe(false);
  addresses.note('held_back', '192.0.2.1');
  nowMs = 9_000;
  expect(addresses.is('held_back', '192.0.2.1')).toBe(true);
  addresses.note('held_back', '192.0.2.1');
  nowMs = 18_999;
  expect(addresses.is('held_back', '192.0.2.1')).toBe(true);
  nowMs = 19_000;
  expect(addresses.is('held_back', '192.0.2.1')).toBe(false);
});

test('what is noted of one address is not of another one, nor for another reason', () => {
  const addresses = heldBack();
  addresses.note('held_back', '2001:db8::1');
  expect(addresses.is('held_back', '2001:db8::ffff:1')).toBe(true);
  expect(addresses.is('held_back', '2001:db8:0:1::1')).toBe(false);
  expect(addresses.is('over_limit', '2001:db8::1')).toBe(false);
  addresses.note('over_limit', '192.0.2.1');
  expect(addresses.is('over_limit', '::ffff:192.0.2.1')).toBe(true);
});

test('a few connections a second are taken of it, and those that show a good key make room for others', () => {
  const addresses = heldBack();
  expect(admitted(addresses, '192.0.2.1', 30)).toBe(20);
  expect(admitted(addresses, '192.0.2.2', 30)).toBe(20);
  addresses.refund('192.0.2.1');
  expect(admitted(addresses, '192.0.2.1', 30)).toBe(1);
  nowMs = 500;
  expect(admitted(addresses, '192.0.2.1', 30)).toBe(10);
});

test('of 10,000 addresses, the one that was noted longest ago is forgotten for a new one', () => {
  const addresses = heldBack();
  for (let n = 0; n <= 10_000; n++) addresses.note('held_back', `10.0.${n >> 8}.${n & 255}`);
  expect(addresses.is('held_back', '10.0.0.0')).toBe(false);
  expect(addresses.is('held_back', '10.0.0.1')).toBe(true);
});
