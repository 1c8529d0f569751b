import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Report } from '../../chaos/report';
import { replaceRow } from '../../chaos/write-docs';

const PAGE = readFileSync(path.join(__dirname, '..', '..', 'docs', 'reliability.md'), 'utf8');

const report = (mode: Report['mode'], seed: number, events: number): Report => ({
  ...{ mode, seed, minutes: 5, events, deliveries: 2, posts: 3, operations: 4 },
  ...{ faults: { kill9: 5, hold: 6 }, duplicates_explained: {}, lost: 0, stuck: 0, unexplained: 0, by_check: {} },
  ...{ settled_s: 1, harness_held_up_ms: 1, versions: { posthorn: '1', commit: 'abc' } },
  machine: { cpus: 2, model: 'test', memory_gb: 1, node: '20', os: 'Linux', load_1m: 0 },
});
const rows = (page: string) =>
  [...page.matchAll(/^\| (\w+) \| (\d+) \| 5 \| (\d+) \|/gm)].map((match) => match.slice(1).join(' '));

test('a storm takes the place of the earlier one of its mode and seed', () => {
  const storms = [report('workflow', 4_700_001, 1), report('auto', 4_700_010, 2), report('auto', 4_700_002, 3)];
  let page = PAGE;
  for (const one of [...storms, report('auto', 4_700_010, 99)]) page = replaceRow(page, one, 'npm run chaos -- it');
  expect(rows(page).filter((row) => row.includes(' 47000'))).toEqual([
    'auto 4700002 3',
    'auto 4700010 99',
    'workflow 4700001 1',
  ]);
  expect(page).toContain('`npm run chaos -- it`');
  expect(page).toContain('kill9 5, hold 6');
  // The rest of the page stays as it is.
  const head = PAGE.slice(0, PAGE.indexOf('<!-- storms -->'));
  expect(page.startsWith(head)).toBe(true);
});

test('a page without a table is refused', () => {
  expect(() => replaceRow('# Reliability\n', report('auto', 1, 1), 'x')).toThrow('table');
});
