import { processClock, restAfter } from './rest';

/** The work was not begun: too many of its key wait already, or the semaphore is closed. */
export class NotAdmitted extends Error {
  override readonly name = 'NotAdmitted';

  constructor() {
    super('too much of the same waits already, or nothing may wait any more');
  }
}

export type SemaphoreLimits = {
  /** Permits in all. */
  atOnce: number;
  /** Permits that one key may hold; `atOnce` if absent. */
  perKey?: number;
  /**
   * After work that took t ms, its permit rests for this many times t: it stays with the key and is not used. Work of other
   * keys goes on at once.
   */
  restFactor?: number;
  /** Whether a permit of this key rests after its work; called each time. If absent, it always does. */
  rests?: (key: string) => boolean;
  /** No rest is longer, milliseconds. */
  maxRestMs?: number;
  /** Work of one key that may wait; more is refused. */
  maxWaiting?: number;
};

export type FairSemaphore = {
  /**
   * Does the work as soon as a permit is free. Keys that wait are served round robin, each one's work in order.
   * @throws NotAdmitted
   */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Refuses what waits, and whatever would wait from now on. Work that has begun goes on. */
  close(): void;
};

type Waiter = { begin(): void; refuse(error: NotAdmitted): void };

/**
 * A semaphore with limits in all and per key (tenant) that serves waiting keys round robin: a key with much work delays
 * only its own.
 */
export function createFairSemaphore(limits: SemaphoreLimits, clock = processClock): FairSemaphore {
  const { atOnce, perKey = atOnce, restFactor = 0, maxRestMs = Infinity, maxWaiting = Infinity } = limits;
  const { rests = () => true } = limits;
  /** What waits, by key; the first key is the next to be served. */
  const waiting = new Map<string, Waiter[]>();
  let running = 0;
  /** Permits of a key that are in use or rest. */
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

  function release(key: string): void {
    const left = takenOf.get(key)! - 1;
    if (left > 0) takenOf.set(key, left);
    else takenOf.delete(key);
    next();
  }

  async function wait(key: string): Promise<void> {
    const queue = waiting.get(key) ?? [];
    if (closed || queue.length >= maxWaiting) throw new NotAdmitted();
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
          clock.after(restMs, () => release(key));
          next();
        } else release(key);
      }
    },
    close() {
      closed = true;
      const all = [...waiting.values()].flat();
      waiting.clear();
      for (const { refuse } of all) refuse(new NotAdmitted());
    },
  };
}
