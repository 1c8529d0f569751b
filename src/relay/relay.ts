import { restAfter } from '../concurrency/rest';
import type { TenantRoom } from '../concurrency/tenant-slots';
import type { ClaimBudget } from '../db/queue/claim-budget';
import { FIRST_CURSORS } from '../db/queue/claim-cursors';
import type { ClaimRequest } from '../db/queue/claim-request';
import type { Claim } from '../db/queue/claim-workflow';
import { wasRefused } from '../db/statement-errors';
import type { Hold, Holding } from '../delivery/holding';
import type { DeliveryMode, DeliveryPath } from '../domain/delivery-mode';
import { type Priority, priorityOrder } from '../domain/priorities';
import { type Log, reasonOf } from '../log';
import { createWakeUp } from './wake-up';

export type RelaySettings = {
  holding: Holding;
  log: Log;
  /** How long a claimed row is this process's own; above the longest possible first attempt. */
  leaseMs: number;
  /** First attempts of one webhook that this process may have under way. */
  perWebhook: number;
  /** The priorities that this process serves. */
  priorities: readonly Priority[];
  /** The mode of webhooks that have none of their own. */
  mode: DeliveryMode;
  /** Called after each claim with the number of deliveries that it brought. */
  onClaimed?: ((path: DeliveryPath, count: number) => void) | undefined;
};

/**
 * Makes the attempts of the deliveries that a relay claims. For each claim the relay calls `beforeClaim`, asks `capacity`,
 * `tenants` and `budget`, which change nothing, then calls `claim`, `claimed` and `begin`. Without capacity it calls
 * `claimed(true)` and waits.
 */
export type RelayPath<Delivery> = {
  name: DeliveryPath;
  /** The modes of the webhooks that it serves now. */
  modes(): readonly DeliveryMode[];
  /** Releases what it has held for too long. */
  beforeClaim(): void;
  /** How many deliveries it can take now. */
  capacity(): number;
  /** Which tenants may have how much of the capacity. */
  tenants(): TenantRoom;
  /** How many deliveries of each webhook it can take now. */
  budget(): ClaimBudget;
  claim(request: ClaimRequest): Promise<Claim<Delivery>>;
  /** Takes what was claimed. Must not throw. */
  begin(deliveries: Delivery[], claimed: Claimed): void;
  /** Called with whether there may be more work than capacity. */
  claimed?(full: boolean): void;
  /** Until then nothing is claimed, on the clock of `performance.now()`: what it depends on is unavailable. */
  backOffUntil(): number;
  /** Registers what is called whenever there may be capacity for more. */
  onCapacity(callback: () => void): void;
  /** Slots freed within this time are filled by one claim; and while claims find work, they are this far apart. */
  gatherMs: number;
  /** Called once the relay claims no more: waits for what the path has begun, as far as that belongs to it. */
  stop(): Promise<void>;
};

/** The conditions of a claim: under which hold and budget it was made, and when, on the clock of `performance.now()`. */
export type Claimed = { hold: Hold; budget: ClaimBudget; askedMs: number };

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
/**
 * Webhooks with work that one claim looks at in each priority, shared out among their tenants; so many tenants at most. Each
 * costs some 20 µs, also where nothing of it may be sent: whoever has just published waits for a claim or two.
 */
const SCAN = 64;
/**
 * After a claim that found nothing although there was more to look at, the next one waits for a nudge, or for so many times
 * as long as this one took: very much that may not be sent uses a fifth of a core.
 */
const EMPTY_REST = { factor: 4, maxMs: 100 };
/** A claim that found so few came in a quiet time: the next one need not wait for more to come. */
const FEW = 2;
/**
 * So much later a path looks that few webhooks go by, unless it has just found work: it would look for nothing. And later
 * by so many times as long as looking took, where there is much to look through.
 */
const OTHER_PATH_MS = 10;
const OTHER_PATH_FACTOR = 9;
/** After a failed claim or start (database or Temporal away), milliseconds. */
const BACK_OFF_MS = 1_000;

/**
 * The loop between the queue and a path: claims what may be sent now, fairly by tenant, then by webhook, and hands it to
 * the path. Any number of relays may run side by side; a claim takes its rows for one of them. If this process dies before
 * a delivery has moved on, another claim takes the row.
 */
export function startRelay<Delivery>(settings: RelaySettings, path: RelayPath<Delivery>): Relay {
  const { holding, log, leaseMs, perWebhook } = settings;
  const wakeUp = createWakeUp();
  let cursors = FIRST_CURSORS;
  /** Priorities that this turn has not yet gone through; those it has are looked at again while it goes on. */
  let ahead = new Set(settings.priorities);
  let turn = 0;
  let fullThisTurn = false;
  let stopping = false;
  let lastClaim = { atMs: Number.NEGATIVE_INFINITY, tookMs: 0, found: 0 };
  const mainPath: DeliveryPath = settings.mode === 'express' ? 'express' : 'workflow';
  const nudge = () => {
    if (path.name === mainPath || lastClaim.found > 0) wakeUp.wake();
    else wakeUp.wakeWithin(Math.max(OTHER_PATH_MS, OTHER_PATH_FACTOR * lastClaim.tookMs));
  };
  // Freed slots come one by one; a claim for each would cost more than it brings.
  path.onCapacity(() => wakeUp.wakeWithin(path.gatherMs));

  async function loop(): Promise<void> {
    while (!stopping) {
      const next = await claimAndBegin().catch((error: unknown) => {
        log.warn({ event: 'claim_failed', err: reasonOf(error) });
        return undefined;
      });
      if (next === undefined || performance.now() < path.backOffUntil()) await wakeUp.pause(BACK_OFF_MS);
      else if (next !== 'more') await wakeUp.wait(next.waitMs);
      if (next !== 'more') await gather();
    }
  }

  /**
   * While much is published, the next claim waits for work to add up: it costs about the same for one row and for many.
   * So does one that found nothing, since what was published then is another priority's.
   */
  async function gather(): Promise<void> {
    const waitMs = lastClaim.atMs + path.gatherMs - performance.now();
    const quiet = lastClaim.found > 0 && lastClaim.found <= FEW;
    if (!quiet && waitMs > 0) await wakeUp.pause(waitMs);
  }

  /** One claim. `more`: this turn through the webhooks may find more; else how long to wait at most. */
  async function claimAndBegin(): Promise<'more' | { waitMs: number }> {
    const modes = path.modes();
    path.beforeClaim();
    const limit = path.capacity();
    if (limit <= 0) path.claimed?.(true);
    if (limit <= 0 || modes.length === 0) return { waitMs: POLL_MS };
    const priorities = priorityOrder(turn, settings.priorities);
    const claimant = { path: path.name, modes, defaultMode: settings.mode };
    const hold = await holding.begin();
    const askedMs = performance.now();
    const budget = path.budget();
    const request = {
      priorities,
      cursors,
      scan: SCAN,
      limit,
      perWebhook,
      budget,
      room: path.tenants(),
      leaseMs,
      holder: hold.id,
      claimant,
    };
    const claim = await path.claim(request).catch((error: unknown) => {
      // It may have taken rows all the same, or take them yet: nobody holds them once this id has ended.
      if (!wasRefused(error)) holding.retire(hold.id);
      hold.end();
      throw error;
    });
    const now = performance.now();
    lastClaim = { atMs: now, tookMs: now - askedMs, found: claim.deliveries.length };
    cursors = claim.nextCursors;
    path.claimed?.(claim.full || claim.cut);
    settings.onClaimed?.(path.name, claim.deliveries.length);
    // While there is more work than room, another priority goes first each time.
    if (claim.full) turn++;
    fullThisTurn ||= claim.full;
    path.begin(claim.deliveries, { hold, budget, askedMs });
    hold.end();
    for (const one of claim.through) ahead.delete(one);
    if (ahead.size > 0) {
      if (lastClaim.found > 0) return 'more';
      return { waitMs: restAfter(lastClaim.tookMs, EMPTY_REST) };
    }
    ahead = new Set(settings.priorities);
    const wasFull = fullThisTurn;
    fullThisTurn = false;
    // A turn without a full claim took all there was, but for webhooks at their cap: a freed slot wakes us for those.
    if (wasFull) return 'more';
    return { waitMs: Math.min(POLL_MS, Math.max(claim.waitMs ?? POLL_MS, MIN_WAIT_MS)) };
  }

  const running = loop();
  return {
    nudge,
    async stop() {
      stopping = true;
      wakeUp.wake();
      await running;
      await path.stop();
    },
  };
}
