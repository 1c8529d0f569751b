import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endOfLog, settlesWithin } from '../src/embedded/process';

const POSTHORN = path.join(__dirname, '..', 'src', 'cli', 'main.js');
const TIE = path.join(__dirname, 'tie.js');
const READY_LIMIT_MS = 30_000;
const PROBE_EVERY_MS = 20;
const STOP_LIMIT_MS = 10_000;

export type BenchProcess = {
  name: string;
  pid: number;
  child: ChildProcess;
  logFile: string;
  /** SIGTERM, then SIGKILL for one that takes too long. */
  stop(): Promise<void>;
};

export type ProcessOptions = {
  /** Takes stdout and stderr: what a container's log driver would get, at no cost to the harness. */
  logFile: string;
  env?: Record<string, string>;
  /** For node itself, as in `--cpu-prof`. */
  nodeArgs?: string[];
  /** A role that is not ready after this long is given up: 30 s by default. */
  readyLimitMs?: number;
};

/** A Node process that lives no longer than the harness, and reaches it by IPC. */
export function startProcess(name: string, script: string, args: string[], options: ProcessOptions): BenchProcess {
  const log = openSync(options.logFile, 'a');
  const { PATH, HOME } = process.env;
  const child = fork(script, args, {
    env: { PATH, HOME, ...options.env },
    execArgv: ['--require', TIE, ...(options.nodeArgs ?? [])],
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const exited = once(child, 'exit');
  return {
    name,
    pid: child.pid!,
    child,
    logFile: options.logFile,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      if (!(await settlesWithin(exited, STOP_LIMIT_MS))) child.kill('SIGKILL');
    },
  };
}

/** `posthorn api` or `posthorn worker`; resolves once its log says that it is ready, with what it says there. */
export async function startRole(
  role: 'api' | 'worker',
  options: ProcessOptions,
): Promise<BenchProcess & { url?: string }> {
  const started = startProcess(role, POSTHORN, [role], options);
  const deadline = performance.now() + (options.readyLimitMs ?? READY_LIMIT_MS);
  while (performance.now() < deadline && started.child.exitCode === null) {
    const ready = readFileSync(options.logFile, 'utf8')
      .split('\n')
      .find((line) => line.includes(`"${role}_ready"`));
    if (ready) return { ...started, ...(JSON.parse(ready) as { url?: string }) };
    await sleep(PROBE_EVERY_MS);
  }
  await started.stop();
  throw new Error(`posthorn ${role} was not ready in time. ${endOfLog(options.logFile)}`);
}
