import { spawn } from 'node:child_process';
import { toolEnv } from './child-env';

/** How a tool ended; `output` is the end of what it said. */
export type ToolResult = { ok: boolean; output: string };

export type ToolOptions = {
  cwd?: string;
  /** What the tool's environment is taken from: see `toolEnv`. */
  env?: NodeJS.ProcessEnv;
  /** The tool is killed after this long. */
  limitMs: number;
  /** Kills the tool early. */
  signal?: AbortSignal;
};

/** How much of a tool's output is kept for an error message, in characters. */
const OUTPUT_KEPT = 2_000;

/** Runs a tool to its end. Never rejects: a tool that is missing, fails or takes too long gives `ok: false`. */
export function runTool(command: string, args: string[], options: ToolOptions): Promise<ToolResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: toolEnv(options.env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_KEPT);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const kill = (why: string) => {
      output += `\n${why}`;
      child.kill('SIGKILL');
    };
    const limit = setTimeout(() => kill(`stopped after ${options.limitMs / 1000} s`), options.limitMs);
    const abort = () => kill('given up');
    options.signal?.addEventListener('abort', abort, { once: true });
    const end = (ok: boolean, why = '') => {
      clearTimeout(limit);
      options.signal?.removeEventListener('abort', abort);
      resolve({ ok, output: `${output}${why}`.trim() });
    };
    child.once('error', (error) => end(false, error.message));
    child.once('close', (code) => end(code === 0));
  });
}
