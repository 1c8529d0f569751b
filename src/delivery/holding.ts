import { setTimeout as sleep } from 'node:timers/promises';
import {
  addHolder,
  beat,
  buryHolder,
  type HolderSession,
  lockHolders,
  openHolderSession,
  removeHolder,
} from '../db/queue/lease-holders';
import { BEAT_EVERY_MS, createJudge } from '../domain/liveness';
import type { Log } from '../log';
import type { Pauses } from './stale';

/** A delivery or statement that this process holds, under the holder id that stands in the queue's rows. */
export type Hold = {
  readonly id: number;
  /** It is no longer held. Calls after the first do nothing. */
  end(): void;
  /** Another hold under the same id, which ends by itself. */
  share(): Hold;
  /** Keeps the id held until `settled` has settled as well. */
  until(settled: Promise<unknown>): void;
};

/** This process as a holder of deliveries. See {@link startHolding}. */
export type Holding = {
  /** To be called before anything is claimed or fenced. @throws if there is no id within 5 s */
  begin(): Promise<Hold>;
  /** Whether this process still holds what it holds under this id: as far as is known here, nobody has judged it dead. */
  isOurs(id: number): boolean;
  /** To be called when a statement under this id failed without an answer: it may have taken rows that nobody here knows of. */
  retire(id: number): void;
  /** This process stops: nothing more will be held, and recording is no longer retried. */
  readonly stopped: boolean;
  /** Ends every id, which releases whatever is still held. */
  stop(): Promise<void>;
};

const RECONNECT_MS = 250;
/** `begin` fails after this long while Postgres is unavailable. */
const BEGIN_LIMIT_MS = 5_000;
/** A beat is good for this long: well below the time after which a silent holder is judged dead. */
const CONFIRMED_FOR_MS = 3_000;
/** Clocks that differ by more are logged: signatures carry this process' time, and receivers allow 5 minutes. */
const CLOCK_DIFFERENCE_MS = 10_000;

/**
 * Makes this process a holder: a row in `lease_holders`, its session lock and a beat a second, over a connection of its
 * own. It also judges the other holders: what a dead one held becomes free.
 *
 * When a statement under an id fails without an answer, that id is retired and a new one used. A retired id ends once
 * nothing is held under it: whatever the statement took, even if it is carried out later, is then free.
 * @throws if the database cannot be reached
 */
export async function startHolding(databaseUrl: string, pauses: Pauses, log: Log): Promise<Holding> {
  const judge = createJudge();
  const heldBy = new Map<number, number>();
  /** Ids with a row, as far as is known here; `current` is the last one unless it is retired. */
  const ids = new Set<number>();
  const retired = new Set<number>();
  let current: number | undefined;
  let session: HolderSession | undefined;
  let stopping = false;
  let wake: () => void = () => undefined;
  const waiting: (() => void)[] = [];
  let clocksDiffer = false;
  /** When the last answered beat was sent. */
  let confirmedMs = Number.NEGATIVE_INFINITY;
  let steppedMs = Number.NEGATIVE_INFINITY;

  async function connect(): Promise<HolderSession> {
    // The session may end before it is open.
    let opened: HolderSession | undefined;
    opened = await openHolderSession(databaseUrl, () => {
      if (session !== undefined && session === opened) session = undefined;
      wake();
    });
    try {
      await lockHolders(opened.client, [...ids]);
    } catch (error) {
      opened.drop();
      throw error;
    }
    return opened;
  }

  /** One round: removes ids that ended, adds one if needed, sends the beat of all, and judges the other holders. */
  async function round({ client: own }: HolderSession): Promise<void> {
    for (const id of retired) {
      if ((heldBy.get(id) ?? 0) > 0) continue;
      await removeHolder(own, id);
      dropId(id);
    }
    if (current === undefined) {
      const id = await addHolder(own);
      ids.add(id);
      await lockHolders(own, [id]);
      current = id;
    }
    const askedMs = performance.now();
    const step = askedMs - steppedMs >= BEAT_EVERY_MS ? 1 : 0;
    if (step) steppedMs = askedMs;
    const { holders, databaseTimeMs } = await beat(own, [...ids], step);
    const there = new Set(holders.map(({ id }) => id));
    for (const id of ids) if (!there.has(id)) buried(id);
    confirmedMs = askedMs;
    if (isConfirmed()) for (const begin of waiting.splice(0)) begin();
    for (const dead of judge(holders, ids, performance.now())) {
      if (await buryHolder(own, dead)) log.warn({ event: 'holder_dead', holder: dead.id, stopped: dead.locked });
    }
    compareClocks(databaseTimeMs);
  }

  /**
   * Whether no other worker can have judged this process dead: its last beat is fresh. A process that was stopped beats
   * first, so that a judge that is about to bury it finds it alive.
   */
  function isConfirmed(): boolean {
    return (
      current !== undefined && performance.now() - confirmedMs <= CONFIRMED_FOR_MS && !pauses.pausedSince(confirmedMs)
    );
  }

  function dropId(id: number): void {
    ids.delete(id);
    retired.delete(id);
    if (current === id) current = undefined;
  }

  /** Another worker judged this process dead: it was stopped, or cut off from Postgres. */
  function buried(id: number): void {
    log.warn({ event: 'holder_lost', holder: id });
    dropId(id);
    wake();
  }

  function compareClocks(databaseTimeMs: number): void {
    const differenceMs = Math.round(Date.now() - databaseTimeMs);
    const differ = Math.abs(differenceMs) > CLOCK_DIFFERENCE_MS;
    if (differ && !clocksDiffer) log.warn({ event: 'clocks_differ', ahead_of_database_ms: differenceMs });
    clocksDiffer = differ;
  }

  async function loop(): Promise<void> {
    while (!stopping) {
      try {
        session ??= await connect();
        await round(session);
        if (current !== undefined) await pause(BEAT_EVERY_MS);
      } catch (error) {
        if (session) log.warn({ event: 'holder_disconnected', err: (error as Error).message });
        drop();
        await sleep(RECONNECT_MS);
      }
    }
  }

  function drop(): void {
    session?.drop();
    session = undefined;
  }

  function pause(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, limitMs);
      function done() {
        clearTimeout(timer);
        wake = () => undefined;
        resolve();
      }
      wake = done;
    });
  }

  function hold(id: number): Hold {
    heldBy.set(id, (heldBy.get(id) ?? 0) + 1);
    let ended = false;
    return {
      id,
      end() {
        if (ended) return;
        ended = true;
        const left = (heldBy.get(id) ?? 1) - 1;
        if (left > 0) heldBy.set(id, left);
        else heldBy.delete(id);
        if (left === 0 && retired.has(id)) wake();
      },
      share: () => hold(id),
      until(settled) {
        const rest = hold(id);
        settled.then(rest.end, rest.end);
      },
    };
  }

  session = await connect();
  await round(session);
  const running = loop();
  return {
    async begin() {
      for (;;) {
        if (stopping) throw new Error('this worker stops');
        if (isConfirmed()) return hold(current!);
        wake();
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(
            () => reject(new Error('Postgres does not answer: nothing can be held')),
            BEGIN_LIMIT_MS,
          );
          waiting.push(() => {
            clearTimeout(timer);
            resolve();
          });
        });
      }
    },
    isOurs: (id) => ids.has(id),
    get stopped() {
      return stopping;
    },
    retire(id) {
      if (!ids.has(id)) return;
      retired.add(id);
      if (current === id) current = undefined;
      wake();
    },
    async stop() {
      stopping = true;
      wake();
      await running;
      try {
        session ??= await connect();
        for (const id of ids) await removeHolder(session.client, id);
      } catch {
        // The other workers will judge these ids dead.
      }
      drop();
    },
  };
}
