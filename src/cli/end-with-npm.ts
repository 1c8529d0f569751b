import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 250;

/**
 * Stops this process, as by SIGTERM, when the npm or npx that started it has ended.
 *
 * `npx posthorn api` is npm, a shell and this process. npm passes a signal on to the shell; dash, which is sh on Debian,
 * ends of it and leaves us running, with nobody who could stop us. A process learns of that by its parent's id alone:
 * whoever loses its parent gets another one. Where /proc says it, the shell's parent counts as well: an npm that is
 * killed outright leaves the shell. A process that npm did not start is left alone, since it may have been sent to
 * the background on purpose (decision 39).
 */
export function endWithNpm(env: NodeJS.ProcessEnv = process.env): void {
  if (env.npm_execpath === undefined && env.npm_lifecycle_event === undefined) return;
  const born = ancestors();
  const watch = setInterval(() => {
    if (ancestors() === born) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_EVERY_MS);
  watch.unref();
}

/** Our parent, and its own where /proc says it. */
function ancestors(): string {
  const parent = process.ppid;
  try {
    // The second field, the name in brackets, may contain anything.
    const fields = readFileSync(`/proc/${parent}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return `${parent} ${fields[1]}`;
  } catch {
    return `${parent}`;
  }
}
