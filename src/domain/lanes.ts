/** Lanes by priority; the number is what the queue row holds. */
export const LANES = { high: 0, normal: 1, low: 2 } as const;
export type Lane = keyof typeof LANES;
export const LANE_NAMES = Object.keys(LANES) as [Lane, ...Lane[]];

/**
 * Which lane goes first, turn by turn, while there is more work than room: high gets four turns of seven, normal two,
 * low one. A lane that goes first in no other turn still has that one: none starves.
 */
const FIRST: readonly Lane[] = ['high', 'normal', 'high', 'low', 'high', 'normal', 'high'];

/** The served lanes in the order in which this turn looks at them. */
export function laneOrder(turn: number, served: readonly Lane[]): Lane[] {
  const firsts = FIRST.filter((lane) => served.includes(lane));
  const first = firsts[turn % firsts.length];
  return LANE_NAMES.filter((lane) => served.includes(lane)).sort((a, b) => Number(b === first) - Number(a === first));
}
