import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Report } from './report';
import { toRows } from './report';

const FILE = path.join(__dirname, '..', '..', 'docs', 'benchmarks.md');
/** Sections stand behind this line, in the order of their names. */
const HEAD = '## Figures';

/** Puts a run into docs/benchmarks.md, in place of the earlier one of the same name. */
export function writeDocs(report: Report, command: string, file: string = FILE): void {
  writeFileSync(file, replaceSection(readFileSync(file, 'utf8'), sectionOf(report, command)));
}

type Section = { name: string; text: string };

const begin = (name: string) => `<!-- bench: ${name} -->`;
const SECTION = /<!-- bench: (.+?) -->\n[\s\S]*?<!-- end -->\n/g;

/** The text with this section in it; sections are sorted by name. @throws where it has no heading for them */
export function replaceSection(text: string, section: Section): string {
  const at = text.indexOf(`${HEAD}\n`);
  if (at < 0) throw new Error(`there is no "${HEAD}" in the file`);
  const known = [...text.slice(at).matchAll(SECTION)].map(([whole, name]) => ({ name: name!, text: whole }));
  const sections = [...known.filter(({ name }) => name !== section.name), section].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  const intro = text.slice(at).replaceAll(SECTION, '').trimEnd();
  return `${text.slice(0, at)}${intro}\n\n${sections.map((one) => one.text).join('\n')}`;
}

/** A run as a section of Markdown. */
export function sectionOf(report: Report, command: string): Section {
  const { scenario, mode, variant, repeats, proof, settings, versions, machine } = report;
  const name = [scenario, mode, ...(variant ? [variant] : [])].join(', ');
  const rows = Object.entries(report.figures).flatMap(([key, figure]) => toRows(key, figure, report.spread[key]));
  const lines = rows.map(([key, value, spread]) => `| \`${key}\` | ${value} | ${spread} |`);
  const text = [
    begin(name),
    `### ${name}`,
    '',
    `    ${command}`,
    '',
    `| ${repeats > 1 ? `median of ${repeats} rounds` : 'one run'} | | ${repeats > 1 ? 'smallest … largest' : ''} |`,
    '|---|---|---|',
    ...lines,
    '',
    `Proof: ${listOf(proof)}. ${new Date().toISOString().slice(0, 10)}, ${machine.cpus} cores (${machine.model}), ${machine.memory_gb} GiB, ${machine.os}, Node ${machine.node}, load before it ${machine.load_1m}; ${listOf(versions)}. Settings: ${listOf(settings)}.`,
    '<!-- end -->',
    '',
  ].join('\n');
  return { name, text };
}

function listOf(values: object): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}
