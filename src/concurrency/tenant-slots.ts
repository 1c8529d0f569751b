/** Who may take how many slots of a pool: what a claim has to know. */
export type TenantRoom = {
  /** Slots that any tenant may take. */
  free: number;
  /** Up to so many a tenant may hold although none is free. */
  level: number;
  /** Slots held, by tenant. */
  held: ReadonlyMap<string, number>;
};

/** Slots beyond the capacity, as a share of it, that only those who hold little get. */
const RESERVE_SHARE = 1 / 4;
/** Of all slots that are left, one tenant may hold as many as this share of them although none is free. */
const LEVEL_SHARE = 1 / 4;

const reserveOf = (capacity: number): number => Math.ceil(capacity * RESERVE_SHARE);
/** All slots that a pool of this capacity may come to hold. */
export const withReserve = (capacity: number): number => capacity + reserveOf(capacity);

/**
 * The slots of one pool, shared by tenants (decision 33). A tenant that is alone may hold all of the capacity. Slots that are
 * held do not come back soon, so a reserve beyond the capacity is for those who hold less than a level that sinks as the
 * reserve is used up, each newcomer taking a part of what is left: it finds room at once, and so does the next one.
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

  /** Slots that are left for whoever comes. */
  get free(): number {
    return Math.max(0, this.capacity - this.#total);
  }

  get room(): TenantRoom {
    return { free: this.free, level: this.#level, held: this.#held };
  }

  get #level(): number {
    return Math.max(1, Math.floor(this.left * LEVEL_SHARE));
  }

  /** Whether this tenant may take one more. */
  hasRoom(tenantId: string): boolean {
    return this.#total < this.capacity || (this.left > 0 && this.#heldBy(tenantId) < this.#level);
  }

  /** Takes a slot, whether there is room or not: what has begun is counted. */
  take(tenantId: string): void {
    this.#total++;
    this.#held.set(tenantId, this.#heldBy(tenantId) + 1);
  }

  giveBack(tenantId: string): void {
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
