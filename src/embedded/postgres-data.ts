import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { PostgresBinaries } from './postgres-binaries';
import type { PostgresUser } from './postgres-user';

const INITDB_LIMIT_MS = 60_000;

/** Makes the data folder when there is none; returns the password of `posthorn`. */
export function prepareDataDir(
  dataDir: string,
  binaries: PostgresBinaries,
  options: { ephemeral?: boolean; onProgress?: (line: string) => void },
  user?: PostgresUser,
): string {
  const [, passwordFile] = filesOf(dataDir) as [string, string];
  if (existsSync(join(dataDir, 'PG_VERSION'))) {
    if (options.ephemeral) throw new Error(`${dataDir} holds a database, which an ephemeral run would delete.`);
    const made = readFileSync(join(dataDir, 'PG_VERSION'), 'utf8').trim();
    if (made !== binaries.majorVersion) {
      throw new Error(
        `${dataDir} was made by PostgreSQL ${made}; the one here is ${binaries.majorVersion}. ` +
          'Choose another folder with --data-dir, or move this one away.',
      );
    }
    if (!existsSync(passwordFile)) {
      throw new Error(`${passwordFile} is missing: put it back, or move ${dataDir} away to begin with an empty one.`);
    }
    return readFileSync(passwordFile, 'utf8').trim();
  }
  if (existsSync(dataDir) && readdirSync(dataDir).length > 0) {
    throw new Error(`${dataDir} is neither empty nor a PostgreSQL data folder. Choose another one with --data-dir.`);
  }
  options.onProgress?.(`Creating the database in ${dataDir}`);
  return initialise(dataDir, passwordFile, binaries, options.ephemeral ?? false, user);
}

/** initdb into a draft that is renamed when it is complete, so that an interrupted one is never mistaken for data. */
function initialise(
  dataDir: string,
  passwordFile: string,
  binaries: PostgresBinaries,
  ephemeral: boolean,
  user?: PostgresUser,
): string {
  const draft = `${dataDir}.new`;
  const password = randomBytes(18).toString('base64url');
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  rmSync(passwordFile, { force: true });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user) for (const path of [draft, passwordFile]) chownSync(path, user.uid, user.gid);
  const ids = user ? { uid: user.uid, gid: user.gid } : {};
  const { status, stdout, stderr, error } = spawnSync(
    binaries.initdb,
    [
      ...['-D', draft, '--username=posthorn', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ...['--encoding=UTF8', '--locale=C', '--no-instructions', ...(ephemeral ? ['--no-sync'] : [])],
    ],
    { ...ids, cwd: '/', env: postgresEnv(), encoding: 'utf8', timeout: INITDB_LIMIT_MS },
  );
  if (status !== 0) {
    rmSync(draft, { recursive: true, force: true });
    throw new Error(`initdb could not create ${dataDir}: ${error?.message ?? `${stderr || stdout}`.trim()}`);
  }
  rmSync(dataDir, { recursive: true, force: true });
  renameSync(draft, dataDir);
  return password;
}

/** The data folder and the files beside it. */
export function filesOf(dataDir: string): string[] {
  return [dataDir, `${dataDir}.password`, `${dataDir}.log`, `${dataDir}.running`, `${dataDir}.new`];
}

/** No PG* variables of the user's shell. */
export function postgresEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };
}

/** The pid that a server wrote into its data folder, or undefined. */
export function postmasterPid(dataDir: string): number | undefined {
  try {
    return Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]) || undefined;
  } catch {
    return undefined;
  }
}
