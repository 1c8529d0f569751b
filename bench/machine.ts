import { execFileSync } from 'node:child_process';
import os from 'node:os';
import { version as temporalSdk } from '@temporalio/worker/package.json';
import { version as posthorn } from '../package.json';
import { toolEnv } from '../src/embedded/child-env';

export type Machine = { cpus: number; model: string; memory_gb: number; node: string; os: string; load_1m: number };

/** Where the figures were measured. `load_1m` is what the machine was doing before the benchmark began. */
export function machine(): Machine {
  return {
    cpus: os.availableParallelism(),
    model: os.cpus()[0]?.model.trim() ?? 'unknown',
    memory_gb: Math.round(os.totalmem() / 2 ** 30),
    node: process.versions.node,
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    load_1m: Math.round(os.loadavg()[0]! * 100) / 100,
  };
}

/** What was measured; the servers' versions are asked of them. */
export function ownVersions(): Record<string, string> {
  return { posthorn, commit: commit(), temporal_sdk: temporalSdk };
}

/** The checked-out commit, with a `+` where files differ from it. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      env: toolEnv(),
      cwd: __dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', '../..') ? '+' : '');
  } catch {
    return 'unknown';
  }
}
