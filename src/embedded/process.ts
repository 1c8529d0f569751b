import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverEnv } from './child-env';

/** How a server process ended. */
export type ServerExit = { code: number | null; signal: NodeJS.Signals | null };

/** A server that this process started and stops again. */
export interface EmbeddedServer {
  readonly pid: number;
  /** Settles when the process has ended, for whatever reason. Never rejects. */
  readonly exited: Promise<ServerExit>;
  /** Asks the server to stop, and kills it when it takes too long. May be called more than once. */
  stop(): Promise<void>;
  /** Kills the process at once, as a crash would. For tests. */
  kill9(): void;
}

export type ServerProcessOptions = {
  /** What messages call it: `PostgreSQL`, `Temporal`. */
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Takes stdout and stderr; its end is quoted when the server fails to start. */
  logFile: string;
  /** The signal for an orderly stop. */
  stopSignal: 'SIGINT' | 'SIGTERM';
  user?: { uid: number; gid: number };
  /** Files and folders to delete once the server is gone. */
  removeAfter?: string[];
};

/** After this long an orderly stop becomes SIGKILL: two servers, one after the other, within the 15 s of `posthorn dev`. */
export const STOP_LIMIT_MS = 5_000;
/** A log that is longer when its server starts begins anew. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
/** How often a condition is looked at while a server starts. */
export const PROBE_EVERY_MS = 50;

/**
 * Holds the read end of a pipe from us. When we are gone (kill -9 included) the pipe closes, and it stops the server:
 * $1 = pid, $2 = signal, $3 = seconds until SIGKILL, the rest = paths to delete.
 */
const GUARDIAN = `
while read -r _; do :; done
pid=$1; kill -s "$2" "$pid" 2>/dev/null; left=$(($3 * 10)); shift 3
while [ $left -gt 0 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; left=$((left - 1)); done
kill -s KILL -- "-$pid" 2>/dev/null
[ $# -eq 0 ] || rm -rf -- "$@"
`;

/**
 * Starts a server in a process group of its own, so that Ctrl-C in the terminal reaches us only and we stop our
 * servers in order. A guardian makes sure that it does not outlive us.
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<EmbeddedServer> {
  const { name, removeAfter = [] } = options;
  const log = openLog(options.logFile);
  const child = spawn(options.command, options.args, {
    cwd: '/',
    env: options.env,
    detached: true,
    stdio: ['ignore', log, log],
    ...options.user,
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(new Error(`${name} did not start: ${options.command}: ${error.message}`)));
  });
  const pid = child.pid as number;
  const guardian = startGuardian(pid, options.stopSignal, removeAfter);
  const exited = new Promise<ServerExit>((resolve) => {
    child.once('exit', (code, signal) => {
      guardian.kill('SIGKILL');
      resolve({ code, signal });
    });
  });

  let stopping: Promise<void> | undefined;
  const stop = async () => {
    child.kill(options.stopSignal);
    if (!(await settlesWithin(exited, STOP_LIMIT_MS))) {
      killGroup(pid);
      await settlesWithin(exited, STOP_LIMIT_MS);
    }
    for (const path of removeAfter) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  };
  return {
    pid,
    exited,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    kill9: () => killGroup(pid),
  };
}

function startGuardian(pid: number, signal: string, removeAfter: string[]): ChildProcess {
  const args = [String(pid), signal.slice('SIG'.length), String(STOP_LIMIT_MS / 1000), ...removeAfter];
  const guardian = spawn('/bin/sh', ['-c', GUARDIAN, 'guardian', ...args], {
    cwd: '/',
    env: serverEnv(),
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guardian.on('error', () => {}); // without /bin/sh the servers still stop in order, only not after our kill -9
  guardian.stdin?.on('error', () => {});
  guardian.unref();
  (guardian.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return guardian;
}

/**
 * Waits until `probe` resolves. Fails at once when the server ends, and after `limitMs` otherwise; both messages
 * quote the end of the log.
 */
export async function waitUntilReady(
  server: EmbeddedServer,
  options: { name: string; logFile: string; limitMs: number; probe: () => Promise<unknown> },
): Promise<void> {
  let ended: ServerExit | undefined;
  void server.exited.then((exit) => {
    ended = exit;
  });
  let reason: unknown;
  const deadline = Date.now() + options.limitMs;
  while (Date.now() < deadline) {
    if (ended) {
      const how = ended.signal ?? `exit code ${ended.code}`;
      throw new Error(`${options.name} ended while it started (${how}).\n${endOfLog(options.logFile)}`);
    }
    try {
      await options.probe();
      return;
    } catch (error) {
      reason = error;
      await sleep(PROBE_EVERY_MS);
    }
  }
  const why = reason instanceof Error ? reason.message : String(reason);
  throw new Error(
    `${options.name} was not ready after ${options.limitMs / 1000} s (${why}).\n${endOfLog(options.logFile)}`,
  );
}

/** True when `promise` settles within `limitMs`. */
export async function settlesWithin(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  const settled = promise.then(
    () => true,
    () => true,
  );
  const result = await Promise.race([settled, limit]);
  clearTimeout(timer);
  return result;
}

function openLog(logFile: string): number {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  return openSync(logFile, size > LOG_LIMIT_BYTES ? 'w' : 'a', 0o600);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // already gone
  }
}

/** The last lines of a log, indented, for an error message. */
export function endOfLog(logFile: string, lines = 15): string {
  try {
    const text = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines);
    return `The end of ${logFile}:\n  ${text.join('\n  ')}`;
  } catch {
    return `(no log at ${logFile})`;
  }
}
