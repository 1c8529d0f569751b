import { chmodSync, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { closedParent, postgresUser } from './postgres-user';

/** The user's cache folder, for what can be fetched or built again. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'posthorn');
}

/**
 * Where `posthorn dev` keeps its data unless told otherwise: the user's data folder; for a root whose home is closed
 * to the user that runs Postgres, /var/lib/posthorn.
 */
export function defaultDataDir(env: NodeJS.ProcessEnv = process.env): string {
  const own = join(env.XDG_DATA_HOME || join(env.HOME || homedir(), '.local', 'share'), 'posthorn');
  const user = postgresUser();
  return user && closedParent(own, user) ? '/var/lib/posthorn' : own;
}

/** A new folder for data that is thrown away, in a place where the user that runs Postgres may work. */
export function temporaryDataDir(): string {
  const user = postgresUser();
  const base = user && closedParent(join(tmpdir(), 'x'), user) ? '/var/tmp' : tmpdir();
  const folder = mkdtempSync(join(base, 'posthorn-'));
  chmodSync(folder, user ? 0o711 : 0o700);
  return folder;
}

/** Makes a folder and what is missing above it, open for passing through whatever the umask. */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
}

/** The folder of this installation: the one that holds `tools/`. */
export function installationDir(from: string = __dirname): string {
  if (existsSync(join(from, 'tools', 'temporal', 'go.mod'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error(`No folder above ${__dirname} holds tools/temporal/go.mod.`);
  return installationDir(parent);
}
