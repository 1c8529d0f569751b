import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { isOrphan, whenOrphan } from './orphan.mjs';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const END = 'SIGTERM';

/**
 * Runs a program on this terminal and resolves to its exit code. Signals go to the program, which decides what they
 * mean; we wait for it. (From the terminal, Ctrl-C reaches it twice: directly and through us.) If npm has ended, which
 * was to pass them on, the program gets SIGTERM; what would begin after that does not.
 * Posthorn itself and its tests get the whole environment; tools get `toolEnv()`.
 */
export function run(command, args, cwd, env = process.env, stdio = 'inherit') {
  if (isOrphan()) return Promise.resolve(codeOf(END));
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio });
    const forward = (signal) => child.kill(signal);
    for (const signal of FORWARDED) process.on(signal, forward);
    const unwatch = whenOrphan(() => child.kill(END));
    const end = (code) => {
      unwatch();
      for (const signal of FORWARDED) process.off(signal, forward);
      resolve(code);
    };
    child.once('error', (error) => {
      console.error(`${command}: ${error.message}`);
      end(127);
    });
    child.once('exit', (code, signal) => end(code ?? codeOf(signal)));
  });
}

const codeOf = (signal) => 128 + constants.signals[signal];
