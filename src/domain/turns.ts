export type Turns = {
  /** Does the work when it is this key's turn; others of the same key go on behind those of other keys. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
};

/** So much work at once, by turns between those whose it is (tenants): who asks for much waits for himself only. */
export function createTurns(atOnce: number): Turns {
  /** In the order of turns. */
  const waiting = new Map<string, (() => void)[]>();
  let running = 0;

  function next(): void {
    for (const [key, queue] of waiting) {
      if (running >= atOnce) return;
      waiting.delete(key);
      const begin = queue.shift()!;
      if (queue.length > 0) waiting.set(key, queue);
      running++;
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
        next();
      }
    },
  };
}
