import { createRecentTenants, type RecentTenants } from '../../src/api/http/recent-tenants';

let nowMs: number;
let recent: RecentTenants;
beforeEach(() => {
  nowMs = 5_000;
  recent = createRecentTenants(() => nowMs);
});

test('at first nobody is there, and whoever asks is alone', () => {
  expect(recent.anyBut('a')).toBe(false);
  recent.saw('a');
  recent.saw('a');
  expect(recent.anyBut('a')).toBe(false);
  expect(recent.anyBut('b')).toBe(true);
});

test('two that ask in turns see each other, however often one of them asks', () => {
  recent.saw('a');
  for (let n = 0; n < 10; n++) recent.saw('b');
  expect([recent.anyBut('a'), recent.anyBut('b')]).toEqual([true, true]);
});

test('who has not asked for a second is gone', () => {
  recent.saw('a');
  nowMs += 900;
  recent.saw('b');
  expect(recent.anyBut('b')).toBe(true);
  nowMs += 200;
  expect([recent.anyBut('b'), recent.anyBut('a')]).toEqual([false, true]);
  recent.saw('b');
  expect(recent.anyBut('b')).toBe(false);
});
