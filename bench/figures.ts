/** Of what came first and last, which is ramp and tail. */
const EDGE = 0.05;

/** What a scenario measured: numbers by name, some of them by process. Null where it could not be measured. */
export type Figures = { [name: string]: Figure };
export type Figure = number | null | { [part: string]: number | null };

/** Of several repeats: the median of each figure, and its smallest and largest value where there are several. */
export function summarise(repeats: Figures[]): { figures: Figures; spread: Record<string, unknown> } {
  const combine = <T>(reduce: (values: number[]) => T): Record<string, T | Record<string, T>> =>
    Object.fromEntries(
      Object.entries(repeats[0] ?? {}).map(([name, first]) => {
        const all = repeats.map((repeat) => repeat[name]);
        if (typeof first !== 'object' || first === null) return [name, reduce(numbers(all))];
        const parts = Object.keys(first).map((part) => [
          part,
          reduce(numbers(all.map((value) => (value as Record<string, number | null>)[part]))),
        ]);
        return [name, Object.fromEntries(parts)];
      }),
    );
  return {
    figures: combine((values) => round(median(values))) as Figures,
    spread:
      repeats.length < 2 ? {} : combine((values) => [round(Math.min(...values)), round(Math.max(...values))] as const),
  };
}

export function median(values: number[]): number {
  return percentile(values, 50);
}

/** Linear interpolation between the closest ranks. NaN of nothing. */
export function percentile(values: number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = ((sorted.length - 1) * percent) / 100;
  const below = sorted[Math.floor(rank)] ?? Number.NaN;
  const above = sorted[Math.ceil(rank)] ?? Number.NaN;
  return below + (above - below) * (rank - Math.floor(rank));
}

/** How many per second of what happened at these times, without ramp and tail. NaN of too few. */
export function rate(timesMs: number[]): number {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const edge = Math.floor(sorted.length * EDGE);
  const window = sorted.slice(edge, sorted.length - edge);
  return ((window.length - 1) * 1000) / (window.at(-1)! - window[0]!);
}

/** Three figures that mean something; a benchmark has no more. */
function round(value: number): number {
  return Number.isFinite(value) && Math.abs(value) < 1000 ? Number(value.toPrecision(3)) : Math.round(value);
}

const numbers = (values: unknown[]) => values.filter((value): value is number => typeof value === 'number');
