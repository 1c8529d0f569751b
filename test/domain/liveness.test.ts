import { createJudge, DEAD_AFTER_MS, STOPPED_AFTER_MS } from '../../src/domain/liveness';

const OWN = new Set([1]);
const ROUND_MS = 1_000;

/** Rounds of one judge: what it sees of holder 2 in each, a second apart, until it names it; after how long it did. */
function judgedAfter(
  see: (secondMs: number) => { beats: number; locked: boolean },
  limitMs: number,
): number | undefined {
  const judge = createJudge();
  for (let ms = 0; ms <= limitMs; ms += ROUND_MS) {
    const dead = judge(
      [
        { id: 1, beats: 0, locked: false },
        { id: 2, ...see(ms) },
      ],
      OWN,
      ms,
    );
    expect(dead.map(({ id }) => id)).not.toContain(1);
    if (dead.length > 0) return ms;
  }
  return undefined;
}

test.each<[string, (ms: number) => { beats: number; locked: boolean }, number | undefined]>([
  ['one that beats lives', (ms) => ({ beats: ms, locked: true }), undefined],
  ['one that beats lives though its session is gone', (ms) => ({ beats: ms, locked: false }), undefined],
  ['silent and without its session: dead', () => ({ beats: 7, locked: false }), DEAD_AFTER_MS],
  ['silent with its session: stopped', () => ({ beats: 7, locked: true }), STOPPED_AFTER_MS],
  [
    'a session that comes and goes begins the time anew',
    (ms) => ({ beats: 7, locked: ms % 4_000 === 0 }),
    STOPPED_AFTER_MS,
  ],
  ['a beat begins the time anew', (ms) => ({ beats: ms < 4_000 ? 1 : 2, locked: false }), 4_000 + DEAD_AFTER_MS],
  ['one that dies after it was stopped', (ms) => ({ beats: 7, locked: ms < 20_000 }), 20_000 + DEAD_AFTER_MS],
])('%s', (_, see, wanted) => {
  expect(judgedAfter(see, 2 * STOPPED_AFTER_MS)).toBe(wanted);
});

test('a judge that heard nothing for a while begins anew: it does not know what was meanwhile', () => {
  const judge = createJudge();
  const silent = [{ id: 2, beats: 7, locked: false }];
  expect(judge(silent, OWN, 0)).toEqual([]);
  expect(judge(silent, OWN, 1_000)).toEqual([]);
  // Postgres was away for a minute, for both of them.
  expect(judge(silent, OWN, 61_000)).toEqual([]);
  expect(judge(silent, OWN, 63_000)).toEqual([]);
  expect(judge(silent, OWN, 65_500)).toEqual([]);
  expect(judge(silent, OWN, 66_000)).toEqual(silent);
});
