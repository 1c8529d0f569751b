import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { routes } from '../src/api/routes';
import { readConfig } from '../src/config';
import { parseDurationMs } from '../src/domain/durations';
import { TLS_CAUSES } from '../src/domain/tls-causes';

const ROOT = path.join(__dirname, '..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

/** The part of a page under one heading of level 2, its sub-headings left out. */
function section(page: string, heading: string): string {
  const part = read(page)
    .split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`));
  if (!part) throw new Error(`${page} has no section "${heading}"`);
  return part.split(/^### /m)[0]!;
}

/** The rows of a page's tables whose first cell is code, as their cells. */
function rows(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const bare = (cell = '') => cell.replaceAll('`', '');
const names = (text: string) => rows(text).map(([first]) => bare(first));
const captures = (file: string, pattern: RegExp) => [...read(file).matchAll(pattern)].map((match) => match.slice(1));

describe('the reference pages agree with the code', () => {
  test('docs/errors.md lists exactly the problem codes, with their status', () => {
    const codes = captures('src/api/errors.ts', /^ {2}(\w+): \{ status: (\d+),/gm);
    expect(codes.length).toBeGreaterThan(0);
    const listed = rows(section('docs/errors.md', 'Problem codes')).map(([code, status]) => [bare(code), status]);
    expect(listed.sort()).toEqual(codes.sort());
  });

  test('docs/errors.md lists exactly the delivery error codes, with their stage', () => {
    const codes = captures('src/egress/errors.ts', /^ {2}(\w+): \{ stage: '(\w+)',/gm);
    expect(codes.length).toBeGreaterThan(0);
    const listed = rows(section('docs/errors.md', 'Delivery error codes')).map(([code, stage]) => [bare(code), stage]);
    expect(listed.sort()).toEqual(codes.sort());
  });

  test('docs/errors.md lists exactly the body cut codes', () => {
    const [[union = ''] = []] = captures('src/egress/types.ts', /^export type BodyCut = (.+);$/gm);
    const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code);
    expect(codes.length).toBeGreaterThan(0);
    expect(names(section('docs/errors.md', 'Body cut codes')).sort()).toEqual(codes.sort());
  });

  test('docs/errors.md explains each TLS cause', () => {
    const causes = rows(section('docs/errors.md', 'TLS causes')).flatMap(([first = '']) => bare(first).split(', '));
    expect(causes.sort()).toEqual([...TLS_CAUSES].sort());
  });

  test('docs/operations.md names exactly the settings, in order, with their defaults', () => {
    const settings = captures('src/config.ts', /^ {2}([A-Z][A-Z0-9_]+):/gm).flat();
    const table = rows(section('docs/operations.md', 'Settings'));
    expect(table.map(([name]) => bare(name))).toEqual(settings);
    const defaults: Record<string, unknown> = readConfig({});
    for (const [name, text] of table) {
      const value = defaults[bare(name)] ?? '';
      const documented = typeof value === 'number' ? (parseDurationMs(bare(text)) ?? Number(bare(text))) : bare(text);
      expect({ name, value: documented }).toEqual({ name, value: typeof value === 'number' ? value : String(value) });
    }
  });

  test('docs/dependencies.md names exactly the dependencies', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json'));
    expect(names(section('docs/dependencies.md', 'At run time'))).toEqual(Object.keys(dependencies).sort());
    expect(names(section('docs/dependencies.md', 'For development'))).toEqual(Object.keys(devDependencies).sort());
    const go = captures('tools/temporal/go.mod', /^tool (\S+)$/gm).flat();
    const maven = captures(
      'tools/time-skipping-server/pom.xml',
      /<groupId>([\w.]+)<\/groupId>\s*<artifactId>([\w-]+)<\/artifactId>\s*<version>\d+\./g,
    ).map((coordinates) => coordinates.join(':'));
    expect(names(section('docs/dependencies.md', 'Fetched by scripts, never by npm install')).sort()).toEqual(
      [...go, ...maven].sort(),
    );
  });

  test('README.md says until when each Node line is supported that package.json, npm start and test:nodes name', () => {
    const { engines } = JSON.parse(read('package.json'));
    const [[started = ''] = []] = captures('scripts/ensure-installed.mjs', /^const SUPPORTED_LINES = \[(.+)\];$/gm);
    const [[tried = ''] = []] = captures('scripts/test-nodes.mjs', /^const VERSIONS = \[(.+)\];$/gm);
    const lines = engines.node.split(' || ').map((range: string) => /^\^(\d+)\.(\d+)\.0$/.exec(range)!.slice(1));
    const listed = captures('README.md', /^ {2}\| (\d+) +\| \d+\.(\d+) +\| \d+ April \d{4}/gm);
    expect(listed.sort()).toEqual(lines.sort());
    const numbers = lines.map(([major]: string[]) => Number(major));
    expect(started.split(', ').map(Number)).toEqual(numbers);
    expect([20, ...[...tried.matchAll(/'(\d+)\./g)].map(([, major]) => Number(major))]).toEqual(numbers);
  });

  test('.nvmrc names the lowest Node that package.json supports', () => {
    const [[lowest = ''] = []] = captures('package.json', /"node": "\^(\d+\.\d+)\.0 /g);
    expect(read('.nvmrc').trim()).toBe(lowest);
  });

  test('docs/api.md describes exactly the routes, with their scopes', () => {
    const described = captures('docs/api.md', /^### `([A-Z]+ \/\S*)`\n\n(?:Scope `(\w+)`)?/gm);
    const served = routes.map(({ method, path: at, scope }) => [
      `${method.toUpperCase()} ${at.replace(/:(\w+)/g, '{$1}')}`,
      scope,
    ]);
    expect(described.sort()).toEqual(served.sort());
  });
});

const pages = ['.', 'docs', 'docs/contributing', 'docs/decisions'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join(folder, name)),
);

// One that was cut in two leaves rows under a text, or a rule without a head.
test.each(pages)('every table of %s has a head and a rule below it', (page) => {
  const tables = read(page)
    .replace(/^```[\s\S]*?^```/gm, '')
    .split(/\n(?!\|)/)
    .filter((block) => /^\|/m.test(block));
  const broken = tables.filter((block) => !/^[^|]*\n\|.*\n\|( *:?-+:? *\|)+(\n\||$)/.test(block));
  expect(broken).toEqual([]);
});

describe('links', () => {
  test.each(pages)('%s points at what exists', (page) => {
    const targets = captures(page, /\]\(([^)\s]+)\)/g).flat();
    const broken = targets.filter((target) => !/^https?:/.test(target) && !exists(page, target));
    expect(broken).toEqual([]);
  });

  function exists(page: string, target: string): boolean {
    const [file = '', anchor] = target.split('#');
    const at = file ? path.join(path.dirname(page), file) : page;
    const found = statSync(path.join(ROOT, at), { throwIfNoEntry: false });
    if (!found) return false;
    return anchor === undefined || captures(at, /^#+ (.+)$/gm).some(([heading]) => slug(heading!) === anchor);
  }
});

/** The anchor that GitHub gives a heading. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}
