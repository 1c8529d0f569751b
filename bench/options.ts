import { InvalidArgumentError, Option } from 'commander';

/** An option that takes a whole number from `min` (1) on. */
export function numberOption(flags: string, about: string, { fallback, min = 1 }: { fallback?: number; min?: number }) {
  const option = new Option(flags, about).argParser((text: string) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`must be a whole number from ${min} on`);
  });
  return fallback === undefined ? option : option.default(fallback);
}

/** Of scenarios that measure round after round. */
export type RoundOptions = { repeats: number; events?: number; warmup?: number };

export const roundOptions: Option[] = [
  numberOption('--repeats <n>', 'rounds; the median counts', { fallback: 3 }),
  numberOption('--events <n>', 'events per round', { min: 20 }),
  numberOption('--warmup <n>', 'events before the first round', {}),
];

/** Of scenarios that publish at a steady rate while something goes on. */
export type WindowOptions = { rate: number; seconds: number; warmupSeconds: number };

export const windowOptions: Option[] = [
  numberOption('--seconds <n>', 'measured time of each phase', { fallback: 60 }),
  numberOption('--warmup-seconds <n>', 'the same before each phase, not measured', { fallback: 10 }),
];
