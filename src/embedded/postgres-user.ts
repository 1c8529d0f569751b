import { execFileSync } from 'node:child_process';
import { type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { serverEnv } from './child-env';

/** The unprivileged user that runs Postgres in root's place. */
export type PostgresUser = { name: string; uid: number; gid: number };

let cached: PostgresUser | undefined;

/** Postgres refuses to run as root: `postgres` if that user exists, else `nobody`. Undefined when we are not root. */
export function postgresUser(): PostgresUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  cached ??= lookUp('postgres') ?? lookUp('nobody');
  if (!cached) throw new Error('PostgreSQL does not run as root: add a user named postgres, or do not run as root.');
  return cached;
}

function lookUp(name: string): PostgresUser | undefined {
  try {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, name], { env: serverEnv(), encoding: 'utf8', stdio: 'pipe', timeout: 5_000 }));
    return { name, uid: id('-u'), gid: id('-g') };
  } catch {
    return undefined;
  }
}

/** The first existing folder above `path` that the user may not enter, or undefined. */
export function closedParent(path: string, user: PostgresUser): string | undefined {
  const parent = dirname(path);
  if (parent === path) return undefined;
  const above = closedParent(parent, user);
  if (above) return above;
  const folder = statSync(parent, { throwIfNoEntry: false });
  return folder && !mayEnter(folder, user) ? parent : undefined;
}

function mayEnter(folder: Stats, user: PostgresUser): boolean {
  const bit = folder.uid === user.uid ? 0o100 : folder.gid === user.gid ? 0o010 : 0o001;
  return (folder.mode & bit) !== 0;
}
