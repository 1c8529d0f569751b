import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Report } from './report';

const FILE = path.join(__dirname, '..', '..', 'docs', 'reliability.md');
const TABLE = /<!-- storms -->\n([\s\S]*?)<!-- end -->\n/;
const HEAD = [
  '| mode | seed | minutes | events | deliveries | POSTs | operations | faults | came twice, explained | lost | stuck | unexplained | on |',
  '|---|---|---|---|---|---|---|---|---|---|---|---|---|',
];

/** Puts a storm into docs/reliability.md, in place of the earlier one of the same mode and seed. */
export function writeDocs(report: Report, command: string, file: string = FILE): void {
  writeFileSync(file, replaceRow(readFileSync(file, 'utf8'), report, command));
}

/** The text with the storm's row in its table; rows are sorted by mode and seed. @throws where it has no table */
export function replaceRow(text: string, report: Report, command: string): string {
  const found = TABLE.exec(text);
  if (!found) throw new Error('there is no table of storms in the file');
  const row = rowOf(report);
  const keyOf = (line: string) => line.split('|').slice(1, 3).join('|');
  const others = found[1]!.split('\n').filter((line) => /^\| (workflow|express|auto) \|/.test(line));
  const rows = [...others.filter((line) => keyOf(line) !== keyOf(row)), row].sort(byKey);
  const { machine, versions } = report;
  const last = `Last written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}: ${machine.cpus} cores (${machine.model}), ${machine.memory_gb} GiB, ${machine.os}, Node ${machine.node}, load before it ${machine.load_1m}; ${listOf(versions)}.`;
  // A function: what is written may hold `$`.
  return text.replace(TABLE, () => ['<!-- storms -->', ...HEAD, ...rows, '', last, '<!-- end -->', ''].join('\n'));
}

function rowOf({ mode, seed, minutes, versions, ...result }: Report): string {
  const cells = [
    ...[mode, seed, minutes, result.events, result.deliveries, result.posts, result.operations],
    ...[
      listOf(result.faults),
      listOf(result.duplicates_explained) || '0',
      result.lost,
      result.stuck,
      result.unexplained,
    ],
    versions.commit,
  ];
  return `| ${cells.join(' | ')} |`;
}

function byKey(a: string, b: string): number {
  const [, modeA = '', seedA = ''] = a.split('|').map((cell) => cell.trim());
  const [, modeB = '', seedB = ''] = b.split('|').map((cell) => cell.trim());
  return modeA < modeB ? -1 : modeA > modeB ? 1 : Number(seedA) - Number(seedB);
}

const listOf = (values: object) =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
