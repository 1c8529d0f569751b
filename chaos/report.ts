import type { Machine } from '../bench/machine';
import type { StormResult } from './storm';

export type Report = StormResult & { machine: Machine; versions: Record<string, string> };

/** Nothing is lost, nothing is stuck, everything else has an explanation. */
export const isClean = ({ lost, stuck, unexplained }: StormResult): boolean => lost + stuck + unexplained === 0;

/** For people. */
export function toText({ machine, versions, ...result }: Report): string {
  const show = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  const rows = Object.entries({ ...result, machine, versions }).map(
    ([name, value]) => `  ${name.padEnd(20)}  ${show(value)}`,
  );
  return [isClean(result) ? 'lost 0, stuck 0, unexplained 0' : 'NOT CLEAN', ...rows].join('\n');
}
