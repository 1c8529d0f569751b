/** Priorities by name; the number is what the queue row holds. */
export const PRIORITIES = { high: 0, normal: 1, low: 2 } as const;
export type Priority = keyof typeof PRIORITIES;
export const PRIORITY_NAMES = Object.keys(PRIORITIES) as [Priority, ...Priority[]];

/**
 * Which priority is claimed first in each pass, while there is more work than capacity: high in four passes of seven,
 * normal in two, low in one. So none starves.
 */
const FIRST: readonly Priority[] = ['high', 'normal', 'high', 'low', 'high', 'normal', 'high'];

/** The served priorities in the order in which this pass claims them. */
export function priorityOrder(pass: number, served: readonly Priority[]): Priority[] {
  const firsts = FIRST.filter((priority) => served.includes(priority));
  const first = firsts[pass % firsts.length];
  return PRIORITY_NAMES.filter((priority) => served.includes(priority)).sort(
    (a, b) => Number(b === first) - Number(a === first),
  );
}
