import {
  type Cursor,
  FIRST_CURSOR,
  FIRST_CURSORS,
  type Pass,
  type PriorityRow,
  progress,
} from '../../src/db/queue/claim-cursors';
import { PRIORITIES, type Priority } from '../../src/domain/priorities';

const FIRST = FIRST_CURSORS.high;
const cursor = (webhooks: Record<string, string> = {}, change: Partial<Cursor> = {}): Cursor => ({
  ...{ tenant: FIRST_CURSOR, passed: new Set<string>() },
  ...{ webhooks: new Map(Object.entries(webhooks)), ...change },
});
const turn: Pass = {
  priorities: ['high', 'normal', 'low'],
  cursors: { high: cursor({ a: 'h0' }), normal: cursor({ a: 'n0' }), low: cursor({ a: 'l0' }) },
  scan: 10,
  limit: 5,
};
const row = (priority: Priority, change: Partial<PriorityRow> = {}): PriorityRow => ({
  ...{
    delivery_id: null,
    priority: PRIORITIES[priority],
    of_tenant: null,
    scanned: 1,
    most: 10,
    reached: 'a',
    served: null,
  },
  ...{ cut: false, taken: 0, wait_ms: null, ...change },
});
/** What is said of the tenant `a`. */
const own = (priority: Priority, change: Partial<PriorityRow> = {}) =>
  row(priority, { of_tenant: 'a', scanned: 10, reached: `${priority}-reached`, ...change });

describe('webhooks of one tenant', () => {
  test.each<[string, PriorityRow[], Record<Priority, string | undefined>]>([
    ['no work anywhere: it begins anew', [], { high: undefined, normal: undefined, low: undefined }],
    [
      'room was left: on after the last webhook that was looked at, or anew where that was the last one with work',
      [row('high'), row('normal'), own('normal', { served: 'n1', taken: 4 })],
      { high: undefined, normal: 'normal-reached', low: undefined },
    ],
    [
      'no room was left: on after the last webhook that was served, and the priorities behind it stay where they are',
      [
        ...[row('high', { taken: 5 }), row('normal'), row('low')],
        ...[own('high', { cut: true }), own('normal', { cut: true, served: 'n1' }), own('low', { cut: true })],
      ],
      { high: 'high-reached', normal: 'n1', low: 'l0' },
    ],
    [
      'the first priority took all: the others stay where they are',
      [
        row('high', { taken: 5 }),
        row('normal'),
        own('high', { cut: true, served: 'h1' }),
        own('normal', { cut: true }),
      ],
      { high: 'h1', normal: 'n0', low: undefined },
    ],
    [
      'no room was left, and no webhook with work comes after the last one that was served: anew',
      [row('high', { taken: 5 }), own('high', { scanned: 3, cut: true, reached: 'h3', served: 'h3' })],
      { high: undefined, normal: undefined, low: undefined },
    ],
    [
      'no room was left at the last webhook that was looked at: there may be more after it',
      [row('high', { taken: 5 }), own('high', { scanned: 10, cut: true, reached: 'h9', served: 'h9' })],
      { high: 'h9', normal: undefined, low: undefined },
    ],
  ])('%s', (_, rows, expected) => {
    const { nextCursors } = progress(turn, rows);
    const next = Object.fromEntries(
      turn.priorities.map((priority) => [priority, nextCursors[priority].webhooks.get('a')]),
    );
    expect(next).toEqual(expected);
  });
});

describe('a turn through a priority', () => {
  const from = (high: Cursor): Pass => ({ ...turn, priorities: ['high'], cursors: { ...FIRST_CURSORS, high } });

  test('is over where nothing was left to look at, and then all begins anew', () => {
    expect(progress(from(cursor()), [row('high', { scanned: 2, reached: 'b' })])).toMatchObject({
      nextCursors: { high: FIRST },
      through: ['high'],
    });
  });

  test('goes on while a tenant has more webhooks, also one that others went through meanwhile', () => {
    const rows = [row('high', { scanned: 2, reached: 'b' })];
    const more = (tenant: string) => own('high', { of_tenant: tenant });
    const first = progress(from(cursor()), [...rows, more('a'), more('b')]);
    expect(first.through).toEqual([]);
    const second = progress(from(first.nextCursors.high), [...rows, more('b')]);
    expect(second.through).toEqual([]);
    // `a` has begun once more.
    const third = progress(from(second.nextCursors.high), [...rows, more('a'), more('b')]);
    expect(third.through).toEqual([]);
    const fourth = progress(from(third.nextCursors.high), [...rows, more('a')]);
    expect(fourth).toMatchObject({ through: ['high'], nextCursors: { high: FIRST } });
  });

  test('does not wait for a tenant that gets no room, and goes on with it where it was', () => {
    const rows = [row('high', { scanned: 2, reached: 'b', cut: true }), own('high', { cut: true })];
    const { through, nextCursors } = progress(from(cursor({ a: 'h7' })), rows);
    expect(through).toEqual(['high']);
    expect(nextCursors.high.webhooks).toEqual(new Map([['a', 'h7']]));
  });

  test('over more tenants than one claim looks at goes round once', () => {
    const rows = (reached: string) => [row('high', { scanned: 10, reached })];
    let next = progress(from(cursor({ z: 'z1' })), rows('k'));
    expect(next.through).toEqual([]);
    // What is not in sight is not forgotten.
    expect(next.nextCursors.high).toMatchObject({ tenant: 'k', webhooks: new Map([['z', 'z1']]) });
    next = progress(from(next.nextCursors.high), rows('c'));
    expect(next.through).toEqual(['high']);
    expect(next.nextCursors.high.webhooks.size).toBe(0);
  });
});

test('where there was no room for all tenants, those after the last one served are first', () => {
  const rows = [row('high', { scanned: 9, reached: 'i', served: 'd', taken: 5, cut: true })];
  expect(progress(turn, rows).nextCursors.high.tenant).toBe('d');
});

test('a claim is full where it took all it might, or something for one that has more', () => {
  expect(progress(turn, [])).toMatchObject({ full: false, cut: false, waitMs: undefined });
  expect(progress(turn, [row('low', { taken: 4, wait_ms: 12 })])).toMatchObject({ full: false, waitMs: 12 });
  expect(progress(turn, [row('low', { taken: 5 })])).toMatchObject({ full: true, cut: false, waitMs: undefined });
  expect(progress(turn, [row('low', { taken: 4, cut: true })])).toMatchObject({ full: true, cut: true });
  // Another claim at once would find the same.
  expect(progress(turn, [row('low', { taken: 0, cut: true })])).toMatchObject({ full: false, cut: true });
});
