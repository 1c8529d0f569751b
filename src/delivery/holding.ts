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

/** Something that this process has in hand, under the id by which the queue's rows know it. */
export type Hold = {
  readonly id: number;
  /** It is in hand no more. Once only counts. */
  end(): void;
  /** The same once more, to end on its own. */
  share(): Hold;
  /** Something of it is in hand until this has settled, too. */
  until(settled: Promise<unknown>): void;
};

/** This process as a holder of deliveries. See {@link startHolding}. */
export type Holding = {
  /** Before anything is claimed or fenced. @throws where there is no id to be had in time */
  begin(): Promise<Hold>;
  /** What is held under this id is ours: nobody has judged us dead. As far as is known here. */
  isOurs(id: number): boolean;
  /** A statement under this id was given up on: it may have taken rows that nobody here knows of. */
  retire(id: number): void;
  /** Nothing more will be held, and what is left is given up. */
  readonly stopped: boolean;
  /** Ends every id, and with it the hold on whatever is left. */
  stop(): Promise<void>;
};

const RECONNECT_MS = 250;
/** Whoever begins while Postgres is away is told soon. */
const BEGIN_LIMIT_MS = 5_000;
/** What a beat says counts for so long: well below the time after which a silent holder is judged dead. */
const CONFIRMED_FOR_MS = 3_000;
/** Clocks that differ by more are worth a word: signatures carry this process' time, and receivers allow 5 minutes. */
const CLOCK_DIFFERENCE_MS = 10_000;

/**
 * Makes this process a holder: a row in `lease_holders`, its session lock and a beat a second, over a connection of its
 * own. Judges the other holders, too: what a dead one held is free.
 *
 * An id is given up for a new one when a statement under it was given up on, and ends once nothing is in hand under it:
 * whatever that statement took, even if it is carried out later, is then free.
 * @throws where the database cannot be reached
 */
export async function startHolding(databaseUrl: string, pauses: Pauses, log: Log): Promise<Holding> {
  const judge = createJudge();
  const inHand = new Map<number, number>();
  /** Ids with a row, as far as we know; the last one is the one to begin under unless it is retired. */
  const ids = new Set<number>();
  const retired = new Set<number>();
  let current: number | undefined;
  let session: HolderSession | undefined;
  let stopping = false;
  let wake: () => void = () => undefined;
  const waiting: (() => void)[] = [];
  let clocksDiffer = false;
  /** When the last beat was asked for that was answered. */
  let confirmedMs = Number.NEGATIVE_INFINITY;
  let steppedMs = Number.NEGATIVE_INFINITY;

  async function connect(): Promise<HolderSession> {
    // It may end before it is open.
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

  /** One round: ids that ended go, a new one comes where it is needed, all of them beat, and the others are judged. */
  async function round({ client: own }: HolderSession): Promise<void> {
    for (const id of retired) {
      if ((inHand.get(id) ?? 0) > 0) continue;
      await removeHolder(own, id);
      forget(id);
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
   * Nobody can have taken us for dead: they heard from us a moment ago. A process that was stopped beats first, so that a
   * judge who is about to bury it finds that it lives.
   */
  function isConfirmed(): boolean {
    return (
      current !== undefined && performance.now() - confirmedMs <= CONFIRMED_FOR_MS && !pauses.pausedSince(confirmedMs)
    );
  }

  function forget(id: number): void {
    ids.delete(id);
    retired.delete(id);
    if (current === id) current = undefined;
  }

  /** Others took us for dead: we were stopped, or cut off from Postgres. */
  function buried(id: number): void {
    log.warn({ event: 'holder_lost', holder: id });
    forget(id);
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
    inHand.set(id, (inHand.get(id) ?? 0) + 1);
    let ended = false;
    return {
      id,
      end() {
        if (ended) return;
        ended = true;
        const left = (inHand.get(id) ?? 1) - 1;
        if (left > 0) inHand.set(id, left);
        else inHand.delete(id);
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
        // The others see that we are gone.
      }
      drop();
    },
  };
}
