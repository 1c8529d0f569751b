import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from './folders';
import { isAlive } from './leftover';

type Progress = (line: string) => void;

/** As long as the slowest maker may take on a slow machine. */
const LOCK_LIMIT_MS = 30 * 60_000;
const LOCK_POLL_MS = 500;

/**
 * Makes `target` (a file or folder in the cache) unless it exists: `make` writes a draft, which is renamed when it is
 * complete. Two processes do not make it at once: the second waits for the first.
 * `make` returns false when it could not; then so does this.
 */
export async function fetchOnce(
  target: string,
  make: (draft: string) => Promise<boolean>,
  onProgress: Progress,
): Promise<boolean> {
  if (existsSync(target)) return true;
  makeFolder(dirname(target));
  const release = await lock(`${target}.lock`, onProgress);
  const draft = `${target}.draft`;
  try {
    if (existsSync(target)) return true; // made while we waited
    rmSync(draft, { recursive: true, force: true });
    if (!(await make(draft))) return false;
    renameSync(draft, target);
    return true;
  } finally {
    rmSync(draft, { recursive: true, force: true });
    release();
  }
}

/** Calls `onProgress` with the elapsed time every ten seconds while `work` goes on. */
export async function withProgress<T>(what: string, onProgress: Progress, work: Promise<T>): Promise<T> {
  const began = Date.now();
  const ticker = setInterval(() => onProgress(`${what}: ${Math.round((Date.now() - began) / 1000)} s`), 10_000);
  try {
    return await work;
  } finally {
    clearInterval(ticker);
  }
}

/** Takes a lock file; one whose holder has died is taken over. Returns the release. */
async function lock(file: string, onProgress: Progress): Promise<() => void> {
  const deadline = Date.now() + LOCK_LIMIT_MS;
  let said = false;
  while (!tryLock(file)) {
    const holder = holderOf(file);
    if (holder !== undefined && !isAlive(holder)) {
      rmSync(file, { force: true });
      continue;
    }
    if (!said) onProgress(`Waiting for process ${holder ?? '(starting)'}, which is making the same thing`);
    said = true;
    if (Date.now() > deadline) throw new Error(`Waited too long for process ${holder}; stop it, or delete ${file}.`);
    await sleep(LOCK_POLL_MS);
  }
  return () => rmSync(file, { force: true });
}

function tryLock(file: string): boolean {
  try {
    const handle = openSync(file, 'wx', 0o644);
    writeSync(handle, String(process.pid));
    closeSync(handle);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function holderOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}
