import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, statSync } from 'node:fs';
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
  closeFolder(folder);
  return folder;
}

/** What stands in a data folder: what a file system makes by itself, and what we make. */
const OURS = /^(postgres|temporal\.db|dev-keys\.json|dev-inbox\.json|posthorn\.log|lost\+found$)/;
const STICKY = 0o1000;

/**
 * Makes the data folder, and closes it and the files in it to everybody else, also one that was there before. False
 * if it is left as it is: other things stand in it, or it is somebody else's or everybody's (`/tmp`).
 */
export function closeDataFolder(folder: string): boolean {
  makeFolder(folder);
  const names = readdirSync(folder);
  const { mode, uid } = statSync(folder);
  const isOurs = process.getuid === undefined || uid === process.getuid();
  if (!isOurs || (mode & STICKY) !== 0 || !names.every((name) => OURS.test(name))) return false;
  closeFolder(folder);
  for (const path of names.map((name) => join(folder, name))) {
    const file = lstatSync(path);
    // Those of Postgres belong to its user; without the bits of others they are as they were for it.
    if (file.isFile() && (file.mode & 0o177) !== 0) chmodSync(path, file.mode & 0o600);
  }
  return true;
}

/**
 * Open to its owner only. If root runs Postgres as another user, that user's group may pass through; the folder
 * stays root's, so that the user can put nothing in the place of root's own files.
 */
function closeFolder(folder: string): void {
  const user = postgresUser();
  if (user) chownSync(folder, 0, user.gid);
  chmodSync(folder, user ? 0o710 : 0o700);
}

/** Makes a folder and what is missing above it, open for passing through whatever the umask. */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
}
