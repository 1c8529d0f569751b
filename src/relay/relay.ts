import { restAfter } from '../concurrency/rest';
import type { TenantAllowance } from '../concurrency/tenant-slots';
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
  /** For this long nobody else claims a row whose workflow was started; longer than the longest possible first attempt. */
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
  tenants(): TenantAllowance;
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
  /** Called when something was published: the next claim comes now instead of at the next poll. */
  nudge(): void;
  /** Claims no more, and waits for what its path has begun. */
  stop(): Promise<void>;
};

/** Without a nudge, a claim is made this often: it finds what came without a notification. */
const POLL_MS = 250;
/** The tokens of a rate-limited webhook may come faster than it is worth claiming for them. */
const MIN_WAIT_MS = 5;
/**
 * One claim looks at this many webhooks with work in each priority, shared out among their tenants, and at no more tenants
 * than that. Each costs some 20 µs, even if nothing of it may be sent, and who has just published waits for a claim or two.
 */
const SCAN = 64;
/**
 * After a claim that found nothing although there was more to look at, the next one waits for a nudge, or for this many
 * times as long as that claim took: however much work may not be sent, looking for some that may uses a fifth of a core.
 */
const EMPTY_REST = { factor: 4, maxMs: 100 };
/** A claim that found no more than this came in a quiet time: the next one need not wait for more to come. */
const FEW = 2;
/**
 * The path that is not the installation's default has few webhooks, so most nudges are not meant for it. Unless its last
 * claim found work, it claims this long after a nudge, or this many times as long after it as its last claim took.
 */
const OTHER_PATH_MS = 10;
const OTHER_PATH_FACTOR = 9;
/** After a failed claim or start (Postgres or Temporal is unavailable), milliseconds. */
const BACK_OFF_MS = 1_000;

/**
 * The loop between the queue and a path: it claims what may be sent now, fairly by tenant, then by webhook, and hands it to
 * the path. Any number of relays may run side by side; a claim takes its rows for one of them. If this process dies before
 * a delivery has moved on, another relay claims it.
 *
 * A pass is as many claims as it takes to look at every webhook with work in every priority.
 */
export function startRelay<Delivery>(settings: RelaySettings, path: RelayPath<Delivery>): Relay {
  const { holding, log, leaseMs, perWebhook } = settings;
  const wakeUp = createWakeUp();
  let cursors = FIRST_CURSORS;
  /** Priorities that this pass has not yet gone through; those it has are looked at again while it goes on. */
  let ahead = new Set(settings.priorities);
  let fullClaims = 0;
  let passHadFullClaim = false;
  let stopping = false;
  let lastClaim = { atMs: Number.NEGATIVE_INFINITY, tookMs: 0, found: 0 };
  const mainPath: DeliveryPath = settings.mode === 'express' ? 'express' : 'workflow';
  const nudge = () => {
    if (path.name === mainPath || lastClaim.found > 0) wakeUp.wake();
    else wakeUp.wakeWithin(Math.max(OTHER_PATH_MS, OTHER_PATH_FACTOR * lastClaim.tookMs));
  };
  // Slots are freed one by one; a claim for each would cost more than it brings.
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
   * After a claim that found nothing it waits, too: what was published was not for this path.
   */
  async function gather(): Promise<void> {
    const waitMs = lastClaim.atMs + path.gatherMs - performance.now();
    const quiet = lastClaim.found > 0 && lastClaim.found <= FEW;
    if (!quiet && waitMs > 0) await wakeUp.pause(waitMs);
  }

  /** One iteration. `more`: another claim of this pass may find more; else how long to wait at most. */
  async function claimAndBegin(): Promise<'more' | { waitMs: number }> {
    const modes = path.modes();
    path.beforeClaim();
    const limit = path.capacity();
    if (limit <= 0) path.claimed?.(true);
    if (limit <= 0 || modes.length === 0) return { waitMs: POLL_MS };
    const priorities = priorityOrder(fullClaims, settings.priorities);
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
      allowance: path.tenants(),
      leaseMs,
      holder: hold.id,
      claimant,
    };
    const claim = await path.claim(request).catch((error: unknown) => {
      // The statement may have claimed rows all the same, or still do so: they are free once this id has ended.
      if (!wasRefused(error)) holding.retire(hold.id);
      hold.end();
      throw error;
    });
    const now = performance.now();
    lastClaim = { atMs: now, tookMs: now - askedMs, found: claim.deliveries.length };
    cursors = claim.nextCursors;
    path.claimed?.(claim.full || claim.cut);
    settings.onClaimed?.(path.name, claim.deliveries.length);
    // While there is more work than capacity, another priority goes first each time.
    if (claim.full) fullClaims++;
    passHadFullClaim ||= claim.full;
    path.begin(claim.deliveries, { hold, budget, askedMs });
    hold.end();
    for (const one of claim.through) ahead.delete(one);
    if (ahead.size > 0) {
      if (lastClaim.found > 0) return 'more';
      return { waitMs: restAfter(lastClaim.tookMs, EMPTY_REST) };
    }
    ahead = new Set(settings.priorities);
    const wasFull = passHadFullClaim;
    passHadFullClaim = false;
    // A pass without a full claim took all there was, except of webhooks at their cap: a freed slot wakes us for those.
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
