/**
 * Whether npm still waits for us. npm runs a script by a shell and passes a signal on to that shell only, and a shell
 * such as dash ends of it without a word to what it runs. (src/cli/end-with-npm.ts is the same for `posthorn` itself,
 * and says why in full.)
 */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 250;

/** Our parent, and its own where /proc says it. */
function ancestors() {
  const parent = process.ppid;
  try {
    // The name, in brackets, may contain anything.
    const fields = readFileSync(`/proc/${parent}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return `${parent} ${fields[1]}`;
  } catch {
    return `${parent}`;
  }
}

const UNDER_NPM = process.env.npm_execpath !== undefined || process.env.npm_lifecycle_event !== undefined;
const born = ancestors();

/** True once the shell that npm started us by, or npm itself, has ended. */
export const isOrphan = () => UNDER_NPM && ancestors() !== born;

/** Calls `then` once that is so. Returns what ends the watch. */
export function whenOrphan(then) {
  const watch = setInterval(() => {
    if (!isOrphan()) return;
    clearInterval(watch);
    then();
  }, LOOK_EVERY_MS);
  watch.unref();
  return () => clearInterval(watch);
}
