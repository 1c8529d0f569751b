import { type Cursors, FIRST_CURSOR, type LaneRow, progress, type Turn } from '../../src/db/claim-cursors';
import { LANES, type Lane } from '../../src/domain/lanes';

const turn: Turn = {
  lanes: ['high', 'normal', 'low'],
  cursors: { high: 'h0', normal: 'n0', low: 'l0' },
  scan: 10,
  limit: 5,
};
const row = (lane: Lane, change: Partial<LaneRow>): LaneRow => ({
  ...{ delivery_id: null, lane: LANES[lane], scanned: 10, reached: `${lane}-reached`, served: null },
  ...{ taken: 0, wait_ms: null, ...change },
});

test.each<[string, LaneRow[], Cursors]>([
  ['no work anywhere: each lane begins anew', [], { high: FIRST_CURSOR, normal: FIRST_CURSOR, low: FIRST_CURSOR }],
  [
    'room was left: on after the last webhook that was looked at, or anew where that was the last one with work',
    [row('high', { scanned: 3, taken: 4 }), row('normal', { served: 'n1', taken: 4 })],
    { high: FIRST_CURSOR, normal: 'normal-reached', low: FIRST_CURSOR },
  ],
  [
    'no room was left: on after the last webhook that was served, and the lanes behind it stay where they are',
    [row('high', { taken: 5 }), row('normal', { served: 'n1', taken: 5 }), row('low', { taken: 5 })],
    { high: 'high-reached', normal: 'n1', low: 'l0' },
  ],
  [
    'the first lane took all: the others stay where they are',
    [row('high', { served: 'h1', taken: 5 }), row('normal', { taken: 5 })],
    { high: 'h1', normal: 'n0', low: 'l0' },
  ],
  [
    'no room was left, and no webhook with work comes after the last one that was served: anew',
    [row('high', { scanned: 3, reached: 'h3', served: 'h3', taken: 5 })],
    { high: FIRST_CURSOR, normal: 'n0', low: 'l0' },
  ],
  [
    'no room was left at the last webhook that was looked at: there may be more after it',
    [row('high', { scanned: 10, reached: 'h9', served: 'h9', taken: 5 })],
    { high: 'h9', normal: 'n0', low: 'l0' },
  ],
])('%s', (_, rows, nextCursors) => {
  expect(progress(turn, rows).nextCursors).toEqual(nextCursors);
});

test('a claim is full where it took all it might; it tells when a rate limit lets more through', () => {
  expect(progress(turn, [])).toMatchObject({ full: false, waitMs: undefined });
  expect(progress(turn, [row('low', { taken: 4, wait_ms: 12 })])).toMatchObject({ full: false, waitMs: 12 });
  expect(progress(turn, [row('low', { taken: 5, served: 'l1' })])).toMatchObject({ full: true, waitMs: undefined });
});
