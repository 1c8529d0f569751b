import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverEnv } from './child-env';
import { PROBE_EVERY_MS, STOP_LIMIT_MS } from './process';

/** Who runs a server on some data: kept in `<data>.running`, beside the data. */
type Running = { serverPid: number; ownerPid: number };

/** Notes that the server `serverPid` of this process now uses `dataPath`. */
export function noteRunning(dataPath: string, serverPid: number): void {
  const note: Running = { serverPid, ownerPid: process.pid };
  writeFileSync(`${dataPath}.running`, JSON.stringify(note), { mode: 0o600 });
}

/**
 * Makes sure that no server uses `dataPath`: one that a killed run left behind is stopped; one whose owner lives is
 * an error. `otherPid` is a pid the server itself wrote down.
 */
export async function releaseData(
  dataPath: string,
  options: { name: string; signal: 'SIGINT' | 'SIGTERM'; otherPid?: number },
): Promise<void> {
  const note = readNote(`${dataPath}.running`);
  if (note && usesData(note.serverPid, dataPath) && isAlive(note.ownerPid)) {
    throw new Error(
      `${options.name} already runs on ${dataPath}, started by process ${note.ownerPid}. ` +
        'Stop that process, or choose another folder with --data-dir.',
    );
  }
  for (const pid of new Set([note?.serverPid, options.otherPid])) {
    if (pid) await stopLeftover(pid, dataPath, options.signal);
  }
}

const HAS_PROC = existsSync('/proc/self/cmdline');

/** True while a process with this id runs, ours or not; one that only waits to be reaped does not. */
export function isAlive(pid: number): boolean {
  try {
    if (HAS_PROC) return readFileSync(`/proc/${pid}/cmdline`).length > 0;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A pid from a file may by now be anybody's: the process counts only if its command line names the data. */
function usesData(pid: number, dataPath: string): boolean {
  try {
    if (HAS_PROC) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(dataPath);
    const args = ['-o', 'command=', '-p', String(pid)];
    const line = execFileSync('ps', args, { env: serverEnv(), encoding: 'utf8', timeout: 5_000 });
    return `${line.trim()} `.includes(` ${dataPath} `);
  } catch {
    return false;
  }
}

async function stopLeftover(pid: number, dataPath: string, orderly: 'SIGINT' | 'SIGTERM'): Promise<void> {
  for (const signal of [orderly, 'SIGKILL'] as const) {
    if (!usesData(pid, dataPath)) return;
    process.kill(pid, signal);
    const deadline = Date.now() + STOP_LIMIT_MS;
    while (usesData(pid, dataPath) && Date.now() < deadline) await sleep(PROBE_EVERY_MS);
  }
}

function readNote(file: string): Running | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Running;
  } catch {
    return undefined;
  }
}
