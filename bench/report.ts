import type { Figure, Figures } from './figures';
import type { Proof, PublishProof } from './scenario';

export type Report = {
  scenario: string;
  mode: string;
  /** What tells this run from others of the scenario. */
  variant?: string | undefined;
  figures: Figures;
  spread: Record<string, unknown>;
  repeats: number;
  proof: Proof | PublishProof;
  /** Why the figures mean nothing; empty where they do. */
  faults: string[];
  /** What the figures should have been and are not. */
  missed?: string[];
  settings: Record<string, unknown>;
  versions: Record<string, string>;
  machine: Record<string, string | number>;
};

/** Why the figures must not be believed; empty where they may. `signed`: there were signatures to verify. */
export function faults(proof: Proof | PublishProof, signed: boolean): string[] {
  const { lost, duplicates } = proof;
  const inDatabase = [
    ...(lost > 0 ? [`${lost} events were lost`] : []),
    ...(duplicates > 0 ? [`${duplicates} deliveries came twice`] : []),
  ];
  if (!('verified' in proof)) return inDatabase;
  const { unfinished, verified, refused } = proof;
  return [
    ...inDatabase,
    ...(unfinished > 0 ? [`${unfinished} deliveries were never recorded`] : []),
    ...(refused > 0 ? [`${refused} signatures did not verify`] : []),
    ...(signed && verified === 0 ? ['no signature was verified'] : []),
  ];
}

/** One line of JSON. */
export function toJson({
  scenario,
  mode,
  variant,
  figures,
  spread,
  repeats,
  proof,
  faults: wrong,
  missed = [],
  settings,
  versions,
  machine,
}: Report): string {
  return JSON.stringify({
    scenario,
    mode,
    ...(variant && { variant }),
    ...figures,
    ...proof,
    ...(wrong.length > 0 && { faults: wrong }),
    ...(missed.length > 0 && { missed }),
    repeats,
    spread,
    settings,
    versions,
    machine,
  });
}

/** The same for people. */
export function toTable(report: Report): string {
  const { scenario, mode, repeats, proof, settings, versions, machine } = report;
  const rows = Object.entries(report.figures).flatMap(([name, figure]) => toRows(name, figure, report.spread[name]));
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, spread]) =>
    `  ${name!.padEnd(widths[0]!)}  ${value!.padStart(widths[1]!)}  ${spread!.padStart(widths[2]!)}`.trimEnd(),
  );
  return [
    `${scenario}, ${mode} mode: median of ${repeats} rounds, smallest … largest`,
    ...report.faults.map((fault) => `  these figures mean nothing: ${fault}`),
    ...(report.missed ?? []).map((line) => `  missed: ${line}`),
    '',
    ...lines,
    '',
    `  proof     ${listOf(proof)}`,
    `  settings  ${listOf(settings)}`,
    `  versions  ${listOf(versions)}`,
    `  machine   ${listOf(machine)}`,
  ].join('\n');
}

type Spread = [number, number];

/** Name, value and spread of a figure, or of each part of it. */
export function toRows(name: string, figure: Figure, spread: unknown): string[][] {
  if (typeof figure === 'object' && figure !== null) {
    return Object.entries(figure).flatMap(([part, value]) =>
      toRows(`${name} ${part}`, value, (spread as Record<string, Spread> | undefined)?.[part]),
    );
  }
  return [[name, String(figure), Array.isArray(spread) ? `${spread[0]} … ${spread[1]}` : '']];
}

function listOf(values: object): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}
