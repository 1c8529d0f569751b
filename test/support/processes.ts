import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

const MAIN = path.join(__dirname, '..', '..', 'dist', 'src', 'cli', 'main.js');
/** A role is ready in two seconds; on a machine that does much else, not. */
const READY_LIMIT_MS = 120_000;

/** A role of Posthorn in a process of its own, from the built code: it can be killed. */
export type RoleProcess = {
  /** Of the api: where it listens. */
  url: string | undefined;
  /** Its log lines so far. */
  lines: string[];
  /** What it wrote to standard error so far. */
  errors: string[];
  kill9(): Promise<void>;
  /** SIGSTOP: it stands still, as with the lid of a laptop closed. */
  suspend(): void;
  /** SIGCONT: it goes on with what it had in hand. */
  resume(): void;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
};

/** Starts `posthorn api` or `posthorn worker` and waits until it says that it is ready. */
export async function startRole(
  role: 'api' | 'worker',
  env: Record<string, string>,
  logLevel: 'info' | 'debug' = 'info',
): Promise<RoleProcess> {
  const child = spawn(process.execPath, [MAIN, role], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env, POSTHORN_LOG_LEVEL: logLevel },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line));
  const ready = new Promise<{ url?: string }>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${role} was not ready in time: ${errors.join('\n')}`)),
      READY_LIMIT_MS,
    );
    createInterface({ input: child.stdout! }).on('line', (line) => {
      lines.push(line);
      if (!line.includes(`${role}_ready`)) return;
      clearTimeout(timer);
      resolve(JSON.parse(line) as { url?: string });
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`${role} ended with ${code}: ${errors.join('\n')}`));
    });
  });
  const { url } = await ready;
  return {
    url,
    lines,
    errors,
    kill9: () => end(child, 'SIGKILL'),
    suspend: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop: () => end(child, 'SIGTERM'),
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // Later than `exit`: everything it wrote was read.
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}
