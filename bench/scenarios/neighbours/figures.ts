import { type Figure, type Figures, percentile } from '../../figures';
import type { Arrival } from '../../receiver';
import { delays } from '../../steady';
import type { Measured, Published } from './measure';

/** p99 with the neighbour by p99 without it: what the healthy tenant may notice. */
export const MAX_RATIO = 1.5;

/** Of the answers that the healthy tenant got. */
const accepted = ({ status }: { status: number }) => status === 202;
const isServerError = ({ status }: { status: number }) => status === 0 || status >= 500;

export type OfNeighbour = ReturnType<typeof ofNeighbour>;

/** Figures by neighbour, the worst of them, and what misses its bound. */
export function toFigures(found: ReadonlyMap<string, OfNeighbour>): { figures: Figures; missed: string[] } {
  const all = [...found.values()];
  return {
    figures: {
      worst_ratio_p99: Math.max(...all.map(({ ratio_p99 }) => ratio_p99)),
      answers_5xx: all.reduce((sum, { answers_5xx }) => sum + answers_5xx, 0),
      ...Object.fromEntries(found),
    },
    missed: [...found].flatMap(([name, figures]) => missedBy(name, figures)),
  };
}

function missedBy(name: string, { ratio_p99: ratio, answers_5xx: errors }: OfNeighbour): string[] {
  return [
    // Not a number is no small one.
    ...(ratio <= MAX_RATIO ? [] : [`${name}: p99 with ÷ without is ${ratio.toFixed(2)}, above ${MAX_RATIO}`]),
    ...(errors === 0 ? [] : [`${name}: ${errors} publishes were answered 5xx or not at all`]),
  ];
}

/** What the healthy tenant noticed of one neighbour. */
export function ofNeighbour(measured: Measured, arrivals: readonly Arrival[]) {
  const { made, load1m } = measured;
  const [before, after] = [timesOf(measured.without, arrivals), timesOf(measured.with, arrivals)];
  const answers = [...measured.without.publishes, ...measured.with.publishes];
  const requests = Object.entries(made).map(([what, times]) => [`neighbour_${what}`, times] as const);
  return {
    ratio_p99: percentile(after.arrival, 99) / percentile(before.arrival, 99),
    ratio_p50: percentile(after.arrival, 50) / percentile(before.arrival, 50),
    without_p50_ms: percentile(before.arrival, 50),
    without_p99_ms: percentile(before.arrival, 99),
    with_p50_ms: percentile(after.arrival, 50),
    with_p99_ms: percentile(after.arrival, 99),
    api_without_p99_ms: percentile(before.answer, 99),
    api_with_p99_ms: percentile(after.answer, 99),
    operational_without_p50_ms: percentile(before.operational, 50),
    operational_with_p50_ms: percentile(after.operational, 50),
    operational_with_max_ms: percentile(after.operational, 100),
    answers_5xx: answers.filter(isServerError).length,
    answers_refused: answers.filter((one) => !accepted(one) && !isServerError(one)).length,
    ...Object.fromEntries(requests),
    load_1m: load1m,
  } satisfies Figure;
}

function timesOf({ publishes, operational }: Published, arrivals: readonly Arrival[]) {
  return {
    arrival: delays(publishes.filter(accepted), arrivals),
    answer: publishes.map(({ beganMs, answeredMs }) => answeredMs - beganMs),
    operational: delays(operational, arrivals),
  };
}

/** The marks of what was acknowledged. */
export const acknowledged = (published: readonly Published[]): string[] =>
  published.flatMap(({ publishes }) => publishes.filter(accepted).map(({ mark }) => mark));

/** The marks of operational events. */
export const operationalOf = (published: readonly Published[]): string[] =>
  published.flatMap(({ operational }) => operational.map(({ mark }) => mark));
