/** Names one event of the benchmark inside its payload, however a sender wraps or re-encodes that. */
export const MARK = /bench-[a-z]+-\d{7}/;

let last = 0;

/** A mark that no other event of this run has. `round` is lower-case letters. */
export function nextMark(round: string): string {
  return `bench-${round}-${String(++last).padStart(7, '0')}`;
}
