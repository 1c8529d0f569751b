import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { migrateToLatest } from '../../src/db/migrate';
import { fetchOnce } from '../../src/embedded/fetch-once';
import { cacheDir } from '../../src/embedded/folders';
import { startPostgres } from '../../src/embedded/postgres';
import { SHARED_CACHE, tryFolder } from '../../src/embedded/postgres-binaries';
import { postgresUser } from '../../src/embedded/postgres-user';
import { runTool } from '../../src/embedded/run-tool';
import { createTestDatabase } from './database';

/**
 * Debian's Postgres compiles plans (LLVM), as most managed ones do; that of the npm package cannot. What looks at plans
 * and at what statements cost is tested on both. It is the one that is installed; else its packages are fetched with apt-get and
 * unpacked into the cache, which needs no root.
 */

const DEBIAN = '/usr/lib/postgresql';
/** 60 MB. */
const FETCH_LIMIT_MS = 5 * 60_000;
/** A machine without a network is told from a slow one by this; apt takes seconds. */
const APT = [
  '-q',
  '-o',
  'Acquire::http::Timeout=10',
  '-o',
  'Acquire::https::Timeout=10',
  '-o',
  'Acquire::Retries=1',
  '-o',
  'APT::Sandbox::User=root',
];

/** Set by the global setup: the folder of its programs, or why there is none. */
const FOLDER = 'POSTHORN_TEST_DEBIAN_POSTGRES';
const REASON = 'POSTHORN_TEST_NO_DEBIAN_POSTGRES';

/** For the global setup: finds or fetches it, and says so loudly where it cannot be had. */
export async function provideDebianPostgres(onProgress: (line: string) => void): Promise<void> {
  const found = installed() ?? (await unpacked(onProgress).catch((error: Error) => ({ reason: error.message })));
  if (typeof found === 'string') {
    process.env[FOLDER] = found;
    return;
  }
  process.env[REASON] = found.reason;
  onProgress(`SKIPPED: no test runs on Debian's Postgres, which compiles plans. ${found.reason}`);
}

/** Declares tests once for each Postgres; `server` has databases, with the tables and nothing in them. */
export function describeOnEachPostgres(declare: (server: TestServer) => void): void {
  describe('on the Postgres of the npm package', () => declare({ createDatabase: createTestDatabase }));
  describeOnDebian(declare);
}

export type TestServer = { createDatabase(): Promise<{ url: string; drop(): Promise<void> }> };

/** The same on Debian's Postgres only, which is as eager to compile as with many rows: no plan is too cheap. */
export function describeOnDebian(declare: (server: TestServer) => void): void {
  const folder = process.env[FOLDER];
  if (!folder) {
    describe('on the Postgres of Debian', () => test.skip(`skipped: ${process.env[REASON]}`, () => undefined));
    return;
  }
  const jit = { jit: 'on', jit_above_cost: '0', jit_inline_above_cost: '0', jit_optimize_above_cost: '0' };
  describe('on the Postgres of Debian', () =>
    declare({
      async createDatabase() {
        const settings = { shared_buffers: '32MB', ...jit };
        const server = await startPostgres({ ephemeral: true, programs: folder, settings });
        await migrateToLatest(server.url);
        return { url: server.url, drop: () => server.stop() };
      },
    }));
}

function installed(): string | undefined {
  return existsSync(DEBIAN) ? readdirSync(DEBIAN).map(programsOf(DEBIAN)).find(compiles) : undefined;
}

const programsOf = (base: string) => (version: string) => path.join(base, version, 'bin');

function compiles(folder: string): boolean {
  return existsSync(path.join(folder, '..', 'lib', 'llvmjit.so')) && tryFolder(folder, postgresUser()) !== undefined;
}

/** The programs' folder in the cache, filled where it is not there yet. For tests: whatever is installed. */
export async function unpacked(onProgress: (line: string) => void): Promise<string | { reason: string }> {
  if (!existsSync('/usr/bin/apt-get')) return { reason: 'There is no apt-get here to fetch it with.' };
  // Root's own cache is closed to the user that runs Postgres.
  const target = path.join(postgresUser() ? SHARED_CACHE : cacheDir(), 'debian-postgres');
  let reason = '';
  const made = await fetchOnce(
    target,
    async (draft) => {
      onProgress('Fetching the Postgres of Debian with apt-get');
      reason = await fetchInto(draft);
      return reason === '';
    },
    onProgress,
  );
  if (!made) return { reason };
  const folder = path.join(target, 'bin');
  return tryFolder(folder, postgresUser()) ? folder : { reason: `What was fetched does not run: delete ${target}.` };
}

/** Why it did not work, or nothing. */
async function fetchInto(draft: string): Promise<string> {
  mkdirSync(draft, { recursive: true, mode: 0o755 });
  let lists: string[] = [];
  let server = serverPackage(lists);
  if (!server) {
    // A fresh container has no lists of packages: into the draft, which needs no root either.
    for (const folder of ['lists/partial', 'apt/archives/partial'])
      mkdirSync(path.join(draft, folder), { recursive: true });
    lists = ['-o', `Dir::State::lists=${draft}/lists`, '-o', `Dir::Cache=${draft}/apt`];
    const updated = await runTool('apt-get', [...APT, ...lists, 'update'], { limitMs: FETCH_LIMIT_MS });
    if (!updated.ok) return `apt-get update failed: ${updated.output.split('\n').at(-1)}`;
    server = serverPackage(lists);
  }
  if (!server) return 'apt knows no package postgresql.';
  const packages = [server, ...librariesOf(server, lists)];
  const download = [...APT, ...lists, 'download', ...packages];
  const got = await runTool('apt-get', download, { cwd: draft, limitMs: FETCH_LIMIT_MS });
  if (!got.ok) return `apt-get download failed: ${got.output.split('\n').at(-1)}`;
  for (const file of readdirSync(draft).filter((name) => name.endsWith('.deb'))) {
    const { ok, output: said } = await runTool('dpkg', ['-x', file, '.'], { cwd: draft, limitMs: FETCH_LIMIT_MS });
    if (!ok) return `dpkg -x ${file} failed: ${said}`;
  }
  for (const name of readdirSync(draft)) {
    if (/\.deb$|^(lists|apt)$/.test(name)) rmSync(path.join(draft, name), { recursive: true });
  }
  for (const program of ['initdb', 'postgres']) writeProgram(draft, program, server.replace('postgresql-', ''));
  return '';
}

/** The distribution's own version, such as `postgresql-15`. */
function serverPackage(lists: string[]): string | undefined {
  return /Depends: (postgresql-\d+)/.exec(output('apt-cache', [...lists, 'depends', 'postgresql']))?.[1];
}

/** Libraries that the server needs and this machine lacks. */
function librariesOf(server: string, lists: string[]): string[] {
  const kinds = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`);
  const all = output('apt-cache', [...lists, 'depends', '--recurse', ...kinds, server]).split('\n');
  const names = [...new Set(all.filter((name) => /^lib[a-z0-9.+-]+$/.test(name)))];
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own
  const here = output('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Package}\n']).split('\n');
  return names.filter((name) => name !== 'libc6' && !here.includes(`installed ${name}`));
}

/** A program beside the unpacked tree that finds the libraries in it, wherever the tree is moved. */
function writeProgram(draft: string, name: string, version: string): void {
  const lines = [
    '#!/bin/sh',
    'root=$(cd "$(dirname "$0")/.." && pwd)',
    'LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-gnu*):$root/usr/lib',
    'export LD_LIBRARY_PATH',
    `exec "$root/usr/lib/postgresql/${version}/bin/${name}" "$@"`,
  ];
  mkdirSync(path.join(draft, 'bin'), { recursive: true });
  writeFileSync(path.join(draft, 'bin', name), `${lines.join('\n')}\n`, { mode: 0o755 });
}

function output(command: string, args: string[]): string {
  return (
    spawnSync(command, args, { encoding: 'utf8', timeout: FETCH_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 }).stdout ?? ''
  );
}
