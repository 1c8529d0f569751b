/** How many slots of a pool each tenant may take now; a claim goes by it. */
export type TenantAllowance = {
  /** Slots that any tenant may take. */
  free: number;
  /** Slots that a tenant may hold in all when none is free: the reserve is for tenants below this level. */
  level: number;
  /** Slots held, by tenant. */
  held: ReadonlyMap<string, number>;
};

/** The reserve beyond the capacity, as a share of it: only tenants that hold few slots get one of these. */
const RESERVE_SHARE = 1 / 4;
/** The level, as a share of all slots that are left. */
const LEVEL_SHARE = 1 / 4;

const reserveOf = (capacity: number): number => Math.ceil(capacity * RESERVE_SHARE);
/** Slots of a pool of this capacity, the reserve included. */
export const withReserve = (capacity: number): number => capacity + reserveOf(capacity);

/**
 * The slots of one pool, shared by tenants (decision 33). A tenant that is alone may hold all of the capacity. A slot may be
 * held for long, so there is a reserve beyond the capacity for tenants that hold fewer slots than a level. The level sinks
 * as the reserve is used up, so that each new tenant takes only a part of what is left and the next one finds a slot too.
 */
export class TenantSlots {
  readonly reserve: number;
  readonly #held = new Map<string, number>();
  #total = 0;

  /** @param capacity slots that one tenant may hold while no other wants any */
  constructor(readonly capacity: number) {
    this.reserve = reserveOf(capacity);
  }

  /** Slots that are left, the reserve included. */
  get left(): number {
    return Math.max(0, this.capacity + this.reserve - this.#total);
  }

  /** Slots that are left for any tenant. */
  get free(): number {
    return Math.max(0, this.capacity - this.#total);
  }

  get allowance(): TenantAllowance {
    return { free: this.free, level: this.#level, held: this.#held };
  }

  get #level(): number {
    return Math.max(1, Math.floor(this.left * LEVEL_SHARE));
  }

  /** Whether this tenant may take one more. */
  mayTake(tenantId: string): boolean {
    return this.#total < this.capacity || (this.left > 0 && this.#heldBy(tenantId) < this.#level);
  }

  /** Takes a slot, even if none is free: work that has begun counts. */
  take(tenantId: string): void {
    this.#total++;
    this.#held.set(tenantId, this.#heldBy(tenantId) + 1);
  }

  release(tenantId: string): void {
    const left = this.#heldBy(tenantId) - 1;
    if (left < 0) return;
    this.#total--;
    if (left > 0) this.#held.set(tenantId, left);
    else this.#held.delete(tenantId);
  }

  #heldBy(tenantId: string): number {
    return this.#held.get(tenantId) ?? 0;
  }
}
