import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const FOLDER = path.join(__dirname, '..', 'docs', 'decisions');
const read = (file: string): string => readFileSync(path.join(FOLDER, file), 'utf8');

const decisions = readdirSync(FOLDER).filter((name) => /^\d{4}-.+\.md$/.test(name));
const ROW = /^\| \[(?<number>\d{4})\]\((?<file>[^)]+)\) \| (?<title>.+) \| (?<status>.+) \|$/gm;
const STATUS = /^(accepted|superseded (in part )?by \d{4}(, \d{4})*)$/;
const rows = [...read('README.md').matchAll(ROW)].map(({ groups }) => groups as Record<string, string>);

test('the index lists every decision once, in order, under its number', () => {
  expect(decisions.length).toBeGreaterThan(0);
  expect(rows.map(({ file }) => file)).toEqual(decisions.sort());
  expect(rows.map(({ number }) => number)).toEqual(decisions.map((name) => name.slice(0, 4)));
});

test.each(rows)('decision $number has the title that the index gives it', ({ number, file, title }) => {
  expect(read(file!).split('\n')[0]).toBe(`# ${Number(number)}. ${title}`);
});

test.each(rows)('the status of decision $number is a known one, and names only later decisions', (row) => {
  expect(row.status).toMatch(STATUS);
  for (const [later] of row.status!.matchAll(/\d{4}/g)) {
    expect(rows.map(({ number }) => number)).toContain(later);
    expect(Number(later)).toBeGreaterThan(Number(row.number));
  }
});
