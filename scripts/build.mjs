/** TypeScript to dist/, and the workflow bundle; nothing when the sources are the same as last time. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolEnv } from './child-env.mjs';
import { run } from './run-program.mjs';

const SOURCES = [
  ...['src', 'migrations', 'bench', 'chaos'],
  // What chaos shares with the tests.
  ...['own-servers', 'holding-proxy', 'random'].map((name) => `test/support/${name}.ts`),
  ...['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
];

/** Resolves to the exit code. */
export async function build(root) {
  const dist = join(root, 'dist');
  const stampFile = join(dist, '.posthorn-build');
  const wanted = hashOf(root);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return 0;
  console.error('Building dist/');
  rmSync(dist, { recursive: true, force: true }); // else a deleted migration would live on
  const code =
    (await run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json'], root, toolEnv())) ||
    (await run(process.execPath, [join('dist', 'src', 'worker', 'bundle.js')], root, toolEnv()));
  if (code !== 0) return code;
  // npx runs it as a program; npm makes it one when it installs, and there was no dist/ then.
  chmodSync(join(dist, 'src', 'cli', 'main.js'), 0o755);
  writeFileSync(stampFile, wanted);
  return 0;
}

function hashOf(root) {
  const hash = createHash('sha256');
  for (const file of SOURCES.flatMap((source) => filesAt(join(root, source))).sort()) {
    hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}

function filesAt(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return stat ? [path] : [];
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}
