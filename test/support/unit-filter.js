const { existsSync, readFileSync } = require('node:fs');
const path = require('node:path');

/**
 * A test is none of these if it, or a file under test/ that it imports, has one of these words in it. It then uses the
 * run's servers or starts its own, starts other programs (most of them need a build), or listens on a port, which
 * mostly means that it waits for time limits.
 */
const NEEDS_MORE = /POSTHORN_TEST_(DATABASE_URL|TEMPORAL_ADDRESS)|src\/embedded\/|node:child_process|\.listen\(/;
const IMPORT = /from '(\.[^']+)'/g;
const TESTS = path.join(__dirname, '..') + path.sep;

/** Jest calls this with the paths of all test files, and runs those that are returned. */
module.exports = (testPaths) => ({ filtered: testPaths.filter(isUnitTest) });

/** Whether a test file can run without servers and without a build. */
function isUnitTest(testPath) {
  const seen = new Set();
  const waiting = [testPath];
  for (let file = waiting.pop(); file; file = waiting.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    if (NEEDS_MORE.test(text)) return false;
    for (const [, specifier] of text.matchAll(IMPORT)) {
      const imported = `${path.resolve(path.dirname(file), specifier)}.ts`;
      if (imported.startsWith(TESTS) && existsSync(imported)) waiting.push(imported);
    }
  }
  return true;
}
