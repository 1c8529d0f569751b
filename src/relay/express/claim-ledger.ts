import { type TenantAllowance, TenantSlots } from '../../concurrency/tenant-slots';
import type { ExpressDelivery } from '../../db/queue/claim-express';
import type { Hold } from '../../delivery/holding';
import { CLAIM_FRESH_MS } from '../../domain/limits';

/** What the ledger knows a claimed delivery by. */
type Claimable = Pick<ExpressDelivery, 'deliveryId' | 'tenantId' | 'holder'> & {
  queue: Pick<ExpressDelivery['queue'], 'attempt'>;
};

/** A delivery that was claimed, and how. */
export type ClaimOf<Delivery> = {
  delivery: Delivery;
  /** This claim's own share of the hold: the ledger ends it once. */
  hold: Pick<Hold, 'end'>;
  /** When it was asked for, on the ledger's clock. */
  askedMs: number;
};

/** A later claim of a delivery, once the earlier one was released. */
export type Reclaimed<Delivery> = {
  delivery: Delivery;
  /** It is for an attempt that was made under the earlier claim: it must not be sent. */
  alreadyMade: boolean;
};

export type LedgerSettings = {
  /** Slots of one tenant while no other wants any, see {@link TenantSlots}. */
  capacity: number;
  /** Whether what was claimed under this holder's id at that time still counts, as far as this process can tell. */
  isHeld: (holder: number, sinceMs: number) => boolean;
  /** A monotonic clock. */
  nowMs?: () => number;
};

/**
 * Which deliveries this process has claimed and not released. Each has one claim that counts, a slot of its tenant, and so
 * at most one sender.
 *
 * A delivery that is held here may be claimed here once more, by the same process, in two ways:
 *
 * 1. The first claim has ended in Postgres, and the code that waits for Postgres' answer has not been called yet. The
 *    attempt was recorded and an operator's retry made the row claimable, or the row was released unsent. The second claim
 *    is then for a later attempt, or for the one that was never sent: it goes on once the first is released.
 * 2. Another process judged this one dead and deleted its holder's id, and this one lives. Its relay has claimed the row
 *    again under a new id, for the same attempt. If that was made under the old id, the second claim must not be sent. It
 *    goes back to the queue: as long as the row says that the attempt is under way, the one that was made cannot be
 *    recorded.
 *
 * `release` tells the two apart by the number of attempts that were made.
 */
export class ClaimLedger<Delivery extends Claimable> {
  /** The claims that count, by delivery. */
  readonly #claims = new Map<string, ClaimOf<Delivery>>();
  /** Later claims of deliveries in `#claims`; they wait for the earlier one's release. */
  readonly #reclaimed = new Map<string, ClaimOf<Delivery>>();
  readonly #slots: TenantSlots;
  readonly #isHeld: LedgerSettings['isHeld'];
  readonly #nowMs: () => number;

  constructor({ capacity, isHeld, nowMs = () => performance.now() }: LedgerSettings) {
    this.#slots = new TenantSlots(capacity);
    this.#isHeld = isHeld;
    this.#nowMs = nowMs;
  }

  /** Enters a claim. `new`: the delivery may be sent; `reclaimed`: not before the claim that is held of it is released. */
  take(claim: ClaimOf<Delivery>): 'new' | 'reclaimed' {
    const { deliveryId } = claim.delivery;
    if (!this.#claims.has(deliveryId)) {
      this.#enter(claim);
      return 'new';
    }
    // The row names its last claim; one before that counts no more.
    this.#reclaimed.get(deliveryId)?.hold.end();
    this.#reclaimed.set(deliveryId, claim);
    return 'reclaimed';
  }

  /**
   * Releases the claim that counts. A later one, if there is any, then counts in its place and is returned.
   * @param attemptsMade attempts that the delivery has had; 0 if the claim was released without one
   */
  release(deliveryId: string, attemptsMade: number): Reclaimed<Delivery> | undefined {
    const claim = this.#claims.get(deliveryId);
    if (!claim) return undefined;
    this.#claims.delete(deliveryId);
    this.#slots.release(claim.delivery.tenantId);
    claim.hold.end();
    const later = this.#reclaimed.get(deliveryId);
    if (!later) return undefined;
    this.#reclaimed.delete(deliveryId);
    this.#enter(later);
    return { delivery: later.delivery, alreadyMade: later.delivery.queue.attempt < attemptsMade };
  }

  /** The delivery may be sent: its claim still counts, as far as this process can tell without asking. */
  isOurs({ deliveryId, holder }: Delivery): boolean {
    const claim = this.#claims.get(deliveryId);
    return claim !== undefined && this.#isHeld(holder, claim.askedMs);
  }

  /** It is ours, and an attempt may begin: whoever cancels a claimed delivery waits for that no longer than this. */
  isFresh(delivery: Delivery): boolean {
    return this.ageMs(delivery.deliveryId) <= CLAIM_FRESH_MS && this.isOurs(delivery);
  }

  /** For how long this delivery's claim is held; infinite if there is none. */
  ageMs(deliveryId: string): number {
    const askedMs = this.#claims.get(deliveryId)?.askedMs ?? Number.NEGATIVE_INFINITY;
    return this.#nowMs() - askedMs;
  }

  /** Slots that are left, the reserve for tenants that hold little included. */
  get left(): number {
    return this.#slots.left;
  }

  /** Slots that are left for any tenant. */
  get free(): number {
    return this.#slots.free;
  }

  /** What a claim has to know of the slots. */
  get tenants(): TenantAllowance {
    return this.#slots.allowance;
  }

  #enter(claim: ClaimOf<Delivery>): void {
    this.#claims.set(claim.delivery.deliveryId, claim);
    this.#slots.take(claim.delivery.tenantId);
  }
}
