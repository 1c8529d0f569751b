/** A wait that others end with `wake`. A call while nobody waits is remembered: the next wait then ends at once. */
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
    /** Calls `wake` after this time; further calls until then change nothing. */
    wakeWithin(ms: number) {
      if (soon) return;
      soon = setTimeout(() => {
        soon = undefined;
        wake();
      }, ms);
    },
    wait,
    /** Waits for all of this time, whatever is called meanwhile: what has just failed is not tried again at once. */
    pause: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  };
}
