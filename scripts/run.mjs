/** What `npm start`, `npm test` and the others run: node scripts/run.mjs <task> [arguments…] */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { toolEnv } from './child-env.mjs';
import { ensureInstalled } from './ensure-installed.mjs';
import { run } from './run-program.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const node = (...args) => run(process.execPath, args, root);
const posthorn = (...args) => node(join('dist', 'src', 'cli', 'main.js'), ...args);

/** Every task gets the arguments after its name, and returns the exit code. */
const TASKS = {
  build: () => build(root),
  start: async (args) => (await build(root)) || posthorn('dev', ...args),
  demo: async (args) => (await build(root)) || posthorn('demo', ...args),
  schema: async (args) => (await build(root)) || posthorn('schema', ...args),
  openapi: async (args) => (await build(root)) || posthorn('openapi', ...args),
  fuzz: async (args) => (await build(root)) || node(join('scripts', 'fuzz.mjs'), ...args),
  bench: async (args) => (await build(root)) || node(join('dist', 'bench', 'main.js'), ...args),
  chaos: async (args) => (await build(root)) || node(join('dist', 'chaos', 'main.js'), ...args),
  test: async (args) => (await build(root)) || run(bin('jest'), args, root),
  'test-unit': (args) => run(bin('jest'), ['--config', 'jest.unit.config.js', ...args], root),
  'test-nodes': async (args) => (await build(root)) || node(join('scripts', 'test-nodes.mjs'), ...args),
  lint: (args) => run(bin('biome'), ['check', ...args], root, toolEnv()),
  format: (args) => run(bin('biome'), ['check', '--write', ...args], root, toolEnv()),
  typecheck: (args) => run(bin('tsc'), ['--noEmit', '-p', 'tsconfig.json', ...args], root, toolEnv()),
};

const [name, ...args] = process.argv.slice(2);
if (!Object.hasOwn(TASKS, name ?? '')) {
  console.error(`usage: node scripts/run.mjs <task> [arguments…]\ntasks: ${Object.keys(TASKS).join(', ')}`);
  process.exit(2);
}
await ensureInstalled(root);
process.exitCode = await TASKS[name](args);
