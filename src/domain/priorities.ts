/** Priorities by priority; the number is what the queue row holds. */
export const PRIORITIES = { high: 0, normal: 1, low: 2 } as const;
export type Priority = keyof typeof PRIORITIES;
export const PRIORITY_NAMES = Object.keys(PRIORITIES) as [Priority, ...Priority[]];

/**
 * Which priority goes first, turn by turn, while there is more work than room: high gets four turns of seven, normal two,
 * low one. A priority that goes first in no other turn still has that one: none starves.
 */
const FIRST: readonly Priority[] = ['high', 'normal', 'high', 'low', 'high', 'normal', 'high'];

/** The served priorities in the order in which this turn looks at them. */
export function priorityOrder(turn: number, served: readonly Priority[]): Priority[] {
  const firsts = FIRST.filter((priority) => served.includes(priority));
  const first = firsts[turn % firsts.length];
  return PRIORITY_NAMES.filter((priority) => served.includes(priority)).sort(
    (a, b) => Number(b === first) - Number(a === first),
  );
}
