import { readdirSync } from 'node:fs';
import path from 'node:path';

/** Jest's own loader reads this file, so it is plain JavaScript. */
const chooseUnitTests: (testPaths: string[]) => { filtered: string[] } = require('../support/unit-filter');

const TESTS = path.join(__dirname, '..');

/** Which of these files, named from test/, `npm run test:unit` runs. */
const chosen = (files: string[]): string[] =>
  chooseUnitTests(files.map((file) => path.join(TESTS, file))).filtered.map((file) => path.relative(TESTS, file));

test('all tests of the pure rules run without servers', () => {
  const pure = readdirSync(path.join(TESTS, 'domain'))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.join('domain', name));
  expect(pure.length).toBeGreaterThan(10);
  expect(chosen(pure)).toEqual(pure);
});

test('recorded workflow histories are replayed without servers', () => {
  expect(chosen(['workflows/replay-histories.test.ts'])).toEqual(['workflows/replay-histories.test.ts']);
});

test.each([
  ['an installation', 'api/publish.test.ts'],
  ['a database', 'db/migrate.test.ts'],
  ['the time-skipping server', 'workflows/deliver-webhook.test.ts'],
  ['a port', 'egress/send.test.ts'],
  ['the build', 'embedded/process.test.ts'],
])('a test that needs %s is left out: %s', (_, file) => {
  expect(chosen([file])).toEqual([]);
});
