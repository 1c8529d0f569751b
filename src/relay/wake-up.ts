/** A wait that anyone may end, and that remembers having been ended while nobody waited. */
export function createWakeUp() {
  let woken = false;
  let end: (() => void) | undefined;
  let soon: NodeJS.Timeout | undefined;
  const wake = () => {
    woken = true;
    end?.();
  };
  /** Waits for `wake`, at most `limitMs`. */
  const wait = (limitMs: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(done, limitMs);
      function done() {
        clearTimeout(timer);
        end = undefined;
        woken = false;
        resolve();
      }
      end = done;
      if (woken) done();
    });
  return {
    wake,
    /** Wakes once within this time, however often it is called until then. */
    wakeWithin(ms: number) {
      if (soon) return;
      soon = setTimeout(() => {
        soon = undefined;
        wake();
      }, ms);
    },
    wait,
    /** Waits whatever happens, to spare what is broken. */
    pause: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  };
}
