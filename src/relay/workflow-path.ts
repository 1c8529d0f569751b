import type { Database } from '../db/database';
import { EMPTY_BUDGET } from '../db/queue/claim-budget';
import { type ClaimedDelivery, claimDeliveries } from '../db/queue/claim-workflow';
import { releaseLease } from '../db/queue/leases';
import type { Hold } from '../delivery/holding';
import type { InFlight } from '../delivery/in-flight';
import type { DeliveryMode } from '../domain/delivery-mode';
import { type Log, reasonOf } from '../log';
import { type StartSettings, startClaimed } from '../temporal/start-delivery';
import type { Claimed, RelayPath } from './relay';

export type WorkflowPathSettings = StartSettings & {
  db: Database;
  inFlight: InFlight;
  log: Log;
  /** The modes of the webhooks that it serves now. */
  modes: () => readonly DeliveryMode[];
  /** Called after each claim: whether there was more work than capacity, starts so far, and why starts fail or hang. */
  onClaim?: (full: boolean, started: number, trouble?: string) => void;
};

/**
 * Starts under way, and started deliveries whose attempt has not begun here. More would only queue up in the SDK,
 * where eager first attempts overtake the tasks of retries that are due.
 */
const MAX_STARTING = 16;
/** Slots freed within this time are filled by one claim. */
const GATHER_MS = 10;
/** A slot whose attempt may run in another process is released after this long. */
const ELSEWHERE_HOLD_MS = 5_000;
/** After a failed start, milliseconds. */
const BACK_OFF_MS = 1_000;
/** A start takes milliseconds. One under way for this long shows that Temporal is unavailable, sooner than its limit. */
const HANGING_MS = 2_000;

/**
 * Starts a workflow for each claimed delivery. If this process dies between claim and start, the lease runs out and another
 * process claims the delivery.
 */
export function createWorkflowPath(settings: WorkflowPathSettings): RelayPath<ClaimedDelivery> {
  const { db, inFlight, log, modes, onClaim } = settings;
  /** Starts under way with the time at which each began, the oldest first. */
  const starting = new Map<Promise<void>, number>();
  let backOffUntil = Number.NEGATIVE_INFINITY;
  let lastFailure = '';
  let begun = 0;
  let onCapacity: () => void = () => undefined;

  function begin(claimed: ClaimedDelivery, hold: Hold): void {
    // A timer that fired while the claim was made may have taken the last place.
    if (!inFlight.enter(claimed, claimed.cap, 'first')) {
      void releaseLease(db.kysely, claimed.deliveryId, hold.id).catch(() => undefined);
      return;
    }
    begun++;
    const started = startClaimed(settings, claimed)
      .then((where) => {
        if (where === 'here' && claimed.attempt === 0) inFlight.expectHere(claimed.deliveryId);
        else inFlight.shorten(claimed.deliveryId, ELSEWHERE_HOLD_MS);
      })
      .catch(async (error: unknown) => {
        lastFailure = reasonOf(error);
        log.warn({ event: 'start_failed', err: lastFailure });
        backOffUntil = performance.now() + BACK_OFF_MS;
        // If the start has reached Temporal all the same, the start after the next claim only wakes that workflow. If
        // Postgres is unavailable as well, the lease runs out.
        inFlight.release(claimed.deliveryId);
        await releaseLease(db.kysely, claimed.deliveryId, hold.id).catch(() => undefined);
      })
      .finally(() => {
        starting.delete(started);
        onCapacity();
      });
    starting.set(started, performance.now());
    hold.until(started);
  }

  /** Why Temporal takes no starts; undefined while it does. */
  function trouble(): string | undefined {
    const now = performance.now();
    // While starts fail there is more work than Temporal takes, however little there is.
    if (now < backOffUntil + 2 * BACK_OFF_MS) return lastFailure;
    const [oldest = now] = starting.values();
    return now - oldest > HANGING_MS ? `a start has hung for ${Math.round((now - oldest) / 1_000)} s` : undefined;
  }

  return {
    name: 'workflow',
    modes,
    beforeClaim: () => inFlight.expire(),
    capacity: () => Math.min(inFlight.first.left, MAX_STARTING - starting.size - inFlight.queued),
    tenants: () => inFlight.first.allowance,
    budget: () => ({ ...EMPTY_BUDGET, occupied: inFlight.byWebhook }),
    claim: (request) => claimDeliveries(db.pool, request),
    begin(deliveries, { hold }: Claimed) {
      for (const delivery of deliveries) begin(delivery, hold);
    },
    claimed: (full) => onClaim?.(full, begun, trouble()),
    backOffUntil: () => backOffUntil,
    onCapacity(callback) {
      onCapacity = callback;
      inFlight.onCapacity(callback);
    },
    gatherMs: GATHER_MS,
    stop: async () => void (await Promise.allSettled(starting.keys())),
  };
}
