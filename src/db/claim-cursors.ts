import { LANE_NAMES, type Lane } from '../domain/lanes';

/** Webhooks after this id are looked at, in each lane. */
export type Cursors = Readonly<Record<Lane, string>>;

export const FIRST_CURSOR = '00000000-0000-0000-0000-000000000000';
export const FIRST_CURSORS: Cursors = { high: FIRST_CURSOR, normal: FIRST_CURSOR, low: FIRST_CURSOR };

/** Where a claim looks for work, and how far. */
export type Turn = {
  /** The lanes to serve, the one that goes first at the front, and for each the webhook after which to look on. */
  lanes: readonly Lane[];
  cursors: Cursors;
  /** How many webhooks with work to look at in one turn, per lane. */
  scan: number;
  /** Rows to take at most, in all. */
  limit: number;
};

/** What a claim tells besides its deliveries. */
export type Progress = {
  /** {@link FIRST_CURSOR} for each lane whose last webhook with work was looked at. */
  nextCursors: Cursors;
  /** There was more work than room. */
  full: boolean;
  /** When a webhook that is at its rate limit may be sent more, milliseconds from now. */
  waitMs: number | undefined;
};

/** How far the claim came in a lane: the last webhook it looked at, and the last one it took rows of. */
export type LaneRow = {
  delivery_id: null;
  lane: number;
  scanned: number;
  reached: string;
  served: string | null;
  taken: number;
  wait_ms: number | null;
};

/** How far a claim came, from what it says of each lane that had any work. */
export function progress(turn: Turn, lanes: LaneRow[]): Progress {
  const full = lanes[0]?.taken === turn.limit;
  return { nextCursors: nextCursors(turn, lanes, full), full, waitMs: lanes[0]?.wait_ms ?? undefined };
}

/**
 * A full claim came to its end in one lane: there it goes on after the last webhook it served, and the lanes behind it
 * stay where they are. Every other lane goes on after the last webhook that was looked at. Where no webhook with work
 * comes after it, a lane begins anew.
 */
function nextCursors({ lanes, cursors, scan }: Turn, rows: LaneRow[], full: boolean): Cursors {
  const byLane = new Map(rows.map((row) => [LANE_NAMES[row.lane]!, row]));
  const last = full ? lanes.findLastIndex((lane) => byLane.get(lane)?.served) : lanes.length;
  const next = lanes.map((lane, i) => {
    const row = byLane.get(lane);
    if (i > last) return [lane, cursors[lane]] as const;
    if (!row) return [lane, FIRST_CURSOR] as const;
    const from = i === last ? row.served! : row.reached;
    // Behind the last webhook with work a claim would find nothing: round again.
    return [lane, row.scanned < scan && from === row.reached ? FIRST_CURSOR : from] as const;
  });
  return { ...FIRST_CURSORS, ...Object.fromEntries(next) };
}
