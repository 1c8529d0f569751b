import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchProcess, startRole } from '../bench/processes';
import { settlesWithin } from '../src/embedded/process';
import type { RoleName } from './schedule';

/** One process of a role, from its start to its end. */
export type Life = {
  role: RoleName;
  n: number;
  /** What its POSTs come from. */
  address: string;
  logFile: string;
  startedAt: number;
  /** When it had ended, and whose doing that was; `by itself` is nobody's. */
  ended?: { at: number; how: 'kill9' | 'term' | 'by itself' };
  /** When it was stopped (SIGSTOP) and went on. */
  stops: { from: number; until?: number }[];
};

/** A role of Posthorn that is started again whenever it has ended, as a supervisor would. */
export type Role = {
  name: RoleName;
  lives: Life[];
  /** A process is ready, or was until it was stopped. */
  isUp(): boolean;
  /** Resolves once it is ready. A start that fails, because a server is away, is made again. */
  start(): Promise<void>;
  kill9(): Promise<void>;
  /** SIGTERM, and waits for its end. */
  term(): Promise<void>;
  stop(): void;
  goOn(): void;
  /** For good. */
  end(): Promise<void>;
};

const SOURCE_ADDRESS = path.join(__dirname, 'source-address.js');
const START_AGAIN_MS = 1_000;
/** On a machine that is busy with other things as well, while servers are away and come back. */
const READY_LIMIT_MS = 90_000;
/** Above POSTHORN_SHUTDOWN_GRACE of the storm. */
const TERM_LIMIT_MS = 60_000;

export type RoleOptions = {
  name: RoleName;
  env: Record<string, string>;
  /** Where the logs go. */
  folder: string;
  /** Tells the addresses of roles apart. */
  index: number;
  say: (line: string) => void;
};

export function createRole({ name, env, folder, index, say }: RoleOptions): Role {
  const lives: Life[] = [];
  let current: { life: Life; process: BenchProcess; exited: Promise<unknown> } | undefined;
  let ending = false;
  let intent: 'kill9' | 'term' | undefined;
  const kind = name.startsWith('api') ? 'api' : 'worker';

  async function startOnce(): Promise<boolean> {
    const n = lives.length + 1;
    const life: Life = {
      ...{ role: name, n, address: `127.77.${index + 1}.${n}`, logFile: path.join(folder, `${name}.${n}.log`) },
      ...{ startedAt: Date.now(), stops: [] },
    };
    lives.push(life);
    intent = undefined;
    try {
      const process = await startRole(kind, {
        logFile: life.logFile,
        readyLimitMs: READY_LIMIT_MS,
        nodeArgs: ['--require', SOURCE_ADDRESS],
        env: { ...env, CHAOS_SOURCE_ADDRESS: life.address },
      });
      const exited = once(process.child, 'exit').then(() => {
        const how = ending ? 'term' : (intent ?? 'by itself');
        life.ended = { at: Date.now(), how };
        if (current?.life === life) current = undefined;
        if (how !== 'by itself') return;
        say(`${name} ended by itself`);
        void start();
      });
      current = { life, process, exited };
      return true;
    } catch (error) {
      life.ended = { at: Date.now(), how: 'term' };
      say(`${name} did not start: ${(error as Error).message.split('\n')[0]}`);
      return false;
    }
  }

  async function start(): Promise<void> {
    while (!ending && !current && !(await startOnce())) await sleep(START_AGAIN_MS);
  }

  async function finish(how: 'kill9' | 'term'): Promise<void> {
    if (!current) return;
    const { process, exited } = current;
    intent = how;
    process.child.kill(how === 'kill9' ? 'SIGKILL' : 'SIGTERM');
    if (await settlesWithin(exited, TERM_LIMIT_MS)) return;
    intent = 'kill9';
    say(`${name} did not end by SIGTERM`);
    process.child.kill('SIGKILL');
    await exited;
  }

  return {
    name,
    lives,
    isUp: () => current !== undefined,
    start,
    kill9: () => finish('kill9'),
    term: () => finish('term'),
    stop() {
      if (!current) return;
      current.process.child.kill('SIGSTOP');
      current.life.stops.push({ from: Date.now() });
    },
    goOn() {
      if (!current) return;
      const last = current.life.stops.at(-1);
      if (last && last.until === undefined) last.until = Date.now();
      current.process.child.kill('SIGCONT');
    },
    async end() {
      ending = true;
      current?.process.child.kill('SIGCONT');
      await finish('term');
    },
  };
}
