import { processClock, restAfter } from './rest';

/** Too many of the same key wait already, or nobody may wait any more. Nothing was done. */
export class NoTurn extends Error {
  override readonly name = 'NoTurn';

  constructor() {
    super('there is no turn to wait for');
  }
}

export type TurnLimits = {
  /** Of all keys. */
  atOnce: number;
  /** Of one key; as many as of all where it is absent. */
  perKey?: number;
  /**
   * Work of a key that took t ms leaves its place empty for so many times t: its next work waits for that, or has another
   * of its places. Work of other keys goes on at once.
   */
  restFactor?: number;
  /** Whether work of this key is followed by a rest, asked for each time; always where it is absent. */
  rests?: (key: string) => boolean;
  /** No rest is longer, milliseconds. */
  maxRestMs?: number;
  /** Of one key; one more is refused. */
  maxWaiting?: number;
};

export type Turns = {
  /**
   * Does the work when it is this key's turn; others of the same key go on behind those of other keys.
   * @throws NoTurn
   */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Refuses all that wait, and whatever would wait from now on. What has begun goes on. */
  close(): void;
};

type Waiter = { begin(): void; refuse(error: NoTurn): void };

/**
 * So much work at once, in all and of one key, by turns between those whose it is (tenants): who asks for much waits for
 * himself only.
 */
export function createTurns(limits: TurnLimits, clock = processClock): Turns {
  const { atOnce, perKey = atOnce, restFactor = 0, maxRestMs = Infinity, maxWaiting = Infinity } = limits;
  const { rests = () => true } = limits;
  /** In the order of turns. */
  const waiting = new Map<string, Waiter[]>();
  let running = 0;
  /** Places of a key that are in use, or rest. */
  const takenOf = new Map<string, number>();
  let closed = false;

  function next(): void {
    for (const [key, queue] of waiting) {
      if (running >= atOnce) return;
      if ((takenOf.get(key) ?? 0) >= perKey) continue;
      waiting.delete(key);
      const { begin } = queue.shift()!;
      if (queue.length > 0) waiting.set(key, queue);
      take(key);
      begin();
    }
  }

  function take(key: string): void {
    running++;
    takenOf.set(key, (takenOf.get(key) ?? 0) + 1);
  }

  function giveBack(key: string): void {
    const left = takenOf.get(key)! - 1;
    if (left > 0) takenOf.set(key, left);
    else takenOf.delete(key);
    next();
  }

  async function wait(key: string): Promise<void> {
    const queue = waiting.get(key) ?? [];
    if (closed || queue.length >= maxWaiting) throw new NoTurn();
    await new Promise<void>((begin, refuse) => {
      queue.push({ begin, refuse });
      waiting.set(key, queue);
    });
  }

  return {
    async run(key, work) {
      if (running < atOnce && (takenOf.get(key) ?? 0) < perKey) take(key);
      else await wait(key);
      const beganMs = clock.now();
      try {
        return await work();
      } finally {
        running--;
        const rest = { factor: rests(key) ? restFactor : 0, maxMs: maxRestMs };
        const restMs = restAfter(clock.now() - beganMs, rest);
        if (restMs > 0) {
          clock.after(restMs, () => giveBack(key));
          next();
        } else giveBack(key);
      }
    },
    close() {
      closed = true;
      const all = [...waiting.values()].flat();
      waiting.clear();
      for (const { refuse } of all) refuse(new NoTurn());
    },
  };
}
