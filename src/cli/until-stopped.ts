/**
 * Waits for SIGINT or SIGTERM, or for `failed` to settle, then stops. Further signals are ignored: a terminal's
 * Ctrl-C reaches a child of npm twice.
 * @param limitMs after this long the process ends whatever still runs
 */
export async function untilStopped(
  stop: () => Promise<void>,
  limitMs: number,
  failed?: Promise<unknown>,
): Promise<void> {
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
  const ended = failed?.then(
    () => new Error('the worker ended by itself'),
    (error: unknown) => error,
  );
  const failure = await Promise.race(ended ? [signalled, ended] : [signalled]);
  setTimeout(() => {
    console.error(`posthorn: not stopped after ${limitMs / 1000} s, ending`);
    process.exit(1);
  }, limitMs).unref();
  await stop();
  if (failure) throw failure;
}
