export type Turns = {
  /** Does the work when it is this key's turn; others of the same key go on behind those of other keys. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
};

/**
 * So much work at once, in all and of one key, by turns between those whose it is (tenants): who asks for much waits for
 * himself only.
 */
export function createTurns(atOnce: number, perKey = atOnce): Turns {
  /** In the order of turns. */
  const waiting = new Map<string, (() => void)[]>();
  let running = 0;
  const runningOf = new Map<string, number>();

  function next(): void {
    for (const [key, queue] of waiting) {
      if (running >= atOnce) return;
      if ((runningOf.get(key) ?? 0) >= perKey) continue;
      waiting.delete(key);
      const begin = queue.shift()!;
      if (queue.length > 0) waiting.set(key, queue);
      running++;
      runningOf.set(key, (runningOf.get(key) ?? 0) + 1);
      begin();
    }
  }

  return {
    async run(key, work) {
      await new Promise<void>((begin) => {
        const queue = waiting.get(key);
        if (queue) queue.push(begin);
        else waiting.set(key, [begin]);
        next();
      });
      try {
        return await work();
      } finally {
        running--;
        const left = runningOf.get(key)! - 1;
        if (left > 0) runningOf.set(key, left);
        else runningOf.delete(key);
        next();
      }
    },
  };
}
