import { type ClaimedDelivery, claimDeliveries, FIRST_CURSOR, FIRST_CURSORS } from '../db/claim';
import { releaseLease } from '../db/control';
import type { Database } from '../db/database';
import type { InFlight } from '../delivery/in-flight';
import { type Lane, laneOrder } from '../domain/lanes';
import type { Log } from '../log';
import { type StartSettings, startClaimed } from './start-workflow';
import { createWakeUp } from './wake-up';

export type RelaySettings = StartSettings & {
  db: Database;
  inFlight: InFlight;
  log: Log;
  /** How long a claimed row is this process's own; above the longest possible first attempt. */
  leaseMs: number;
  /** First attempts of one webhook that this process may have under way. */
  perWebhook: number;
  /** The lanes that this process serves. */
  lanes: readonly Lane[];
};

export type Relay = {
  /** Something was published: look now instead of at the next poll. */
  nudge(): void;
  /** Stops claiming and waits for the starts under way. */
  stop(): Promise<void>;
};

/** Without a nudge, the queue is looked at this often: it finds what no notification told of. */
const POLL_MS = 250;
/** The tokens of a rate-limited webhook may come faster than it is worth looking for them. */
const MIN_WAIT_MS = 5;
/** Slots freed within this time are filled by one claim. */
const GATHER_MS = 10;
/** Webhooks with work that one claim looks at. */
const SCAN = 200;
/**
 * Starts under way, and started deliveries whose attempt has not begun here. More would only queue up in the SDK,
 * where eager first attempts overtake the tasks of retries that are due.
 */
const MAX_STARTING = 16;
/** A slot whose attempt may run in another process is kept this long, then given back. */
const ELSEWHERE_HOLD_MS = 5_000;
/** After a failed claim or start (database or Temporal away), milliseconds. */
const BACK_OFF_MS = 1_000;

/**
 * The loop between queue and engine: claims what may be sent now, fairly per webhook, and starts a workflow for each.
 * Any number of relays may run side by side; a claim leases its rows. If this process dies between claim and start,
 * the lease runs out and another claim takes the row.
 */
export function startRelay(settings: RelaySettings): Relay {
  const { db, inFlight, log, leaseMs, perWebhook } = settings;
  const wakeUp = createWakeUp();
  const starting = new Set<Promise<void>>();
  let cursors = FIRST_CURSORS;
  /** Lanes that this turn has not yet gone through; those it has are looked at again while it goes on. */
  let ahead = new Set(settings.lanes);
  let turn = 0;
  let fullThisTurn = false;
  let backOffUntil = 0;
  let stopping = false;
  // Freed slots come one by one; a claim for each would cost more than it brings.
  inFlight.onRoom(() => wakeUp.wakeWithin(GATHER_MS));

  async function loop(): Promise<void> {
    while (!stopping) {
      const next = await claimAndStart().catch((error: Error) => {
        log.warn({ event: 'claim_failed', err: error.message });
        return undefined;
      });
      if (next === undefined || performance.now() < backOffUntil) await wakeUp.pause(BACK_OFF_MS);
      else if (next !== 'more') await wakeUp.wait(next.waitMs);
    }
  }

  /** One claim. `more`: this turn through the webhooks may find more; else how long to wait at most. */
  async function claimAndStart(): Promise<'more' | { waitMs: number }> {
    inFlight.expire();
    const limit = Math.min(inFlight.free, MAX_STARTING - starting.size - inFlight.queued);
    if (limit <= 0) return { waitMs: POLL_MS };
    const lanes = laneOrder(turn, settings.lanes);
    const held = inFlight.byWebhook;
    const claim = await claimDeliveries(db.pool, { lanes, cursors, scan: SCAN, limit, perWebhook, held, leaseMs });
    cursors = claim.nextCursors;
    // While there is more work than room, another lane goes first each time.
    if (claim.full) turn++;
    fullThisTurn ||= claim.full;
    for (const claimed of claim.deliveries) begin(claimed);
    for (const lane of lanes) if (cursors[lane] === FIRST_CURSOR) ahead.delete(lane);
    if (ahead.size > 0) return 'more';
    ahead = new Set(settings.lanes);
    const wasFull = fullThisTurn;
    fullThisTurn = false;
    // A turn without a full claim took all there was, but for webhooks at their cap: a freed slot wakes us for those.
    if (wasFull) return 'more';
    return { waitMs: Math.min(POLL_MS, Math.max(claim.waitMs ?? POLL_MS, MIN_WAIT_MS)) };
  }

  function begin(claimed: ClaimedDelivery): void {
    // A timer that fired while the claim was made may have taken the last place.
    if (!inFlight.enter(claimed.deliveryId, claimed.webhookId, claimed.cap, 'first')) {
      void releaseLease(db.kysely, claimed.deliveryId).catch(() => undefined);
      return;
    }
    const started = startClaimed(settings, claimed)
      .then((where) => {
        if (where === 'here' && claimed.attempt === 0) inFlight.expectHere(claimed.deliveryId);
        else inFlight.shorten(claimed.deliveryId, ELSEWHERE_HOLD_MS);
      })
      .catch(async (error: Error) => {
        log.warn({ event: 'start_failed', err: error.message });
        backOffUntil = performance.now() + BACK_OFF_MS;
        // Should the start have reached the server all the same, the next claim only wakes it. And should the
        // database be away as well, the lease runs out.
        inFlight.release(claimed.deliveryId);
        await releaseLease(db.kysely, claimed.deliveryId).catch(() => undefined);
      })
      .finally(() => {
        starting.delete(started);
        wakeUp.wakeWithin(GATHER_MS);
      });
    starting.add(started);
  }

  const running = loop();
  return {
    nudge: wakeUp.wake,
    async stop() {
      stopping = true;
      wakeUp.wake();
      await running;
      await Promise.allSettled(starting);
    },
  };
}
