import { TenantSlots } from '../concurrency/tenant-slots';
import type { DeliveryPath } from '../domain/delivery-mode';
import type { AttemptResult } from './types';

/**
 * Who holds a slot. Those of first attempts are shared out by tenant here; later ones (see retry-room.ts) and the express path
 * see to it themselves.
 */
type SlotKind = 'first' | 'later' | 'express';
type Reservation = { webhookId: string; tenantId: string; expiresAt: number; kind: SlotKind; dueHere?: boolean };
/** An attempt's delivery; one whose attempt has yet to be loaded may not know its tenant. */
type Slot = { deliveryId: string; webhookId: string; tenantId?: string };

/** Whose slot it is until its attempt has been loaded. */
const NOBODY = '';

/**
 * What this process has in hand. Reservations are slots, taken when the relay claims a delivery or a later attempt
 * begins, freed when its POST has ended and is recorded; they tell how much more may be taken, by tenant and by webhook. Running attempts are kept by delivery and number, so that a repeated activity joins the POST that is
 * already under way instead of making a second one.
 */
export class InFlight {
  readonly #reserved = new Map<string, Reservation>();
  readonly #perWebhook = new Map<string, number>();
  /** First attempts of workflows, and what else was claimed for one. */
  readonly first: TenantSlots;
  readonly #running = new Map<string, { number: number; result: Promise<AttemptResult> }>();
  readonly #handOvers = new Set<Promise<void>>();
  #onRoom: () => void = () => undefined;

  /**
   * @param capacity first attempts of one tenant that may be under way at once while no other has any
   * @param leaseMs after this long a reservation is dropped: its row has become claimable again
   */
  constructor(
    capacity: number,
    readonly leaseMs: number,
  ) {
    this.first = new TenantSlots(capacity);
  }

  /** Calls back whenever there may be room for more: a slot was freed, or an attempt began. */
  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  /** Notes that this delivery's attempt was given to this process: its workflow task is queued here. */
  expectHere(deliveryId: string): void {
    const held = this.#reserved.get(deliveryId);
    if (held) held.dueHere = true;
  }

  /** Attempts that were given to this process and have not begun. */
  get queued(): number {
    let count = 0;
    for (const [id, held] of this.#reserved) if (held.dueHere && !this.#running.has(id)) count++;
    return count;
  }

  /** It has a slot here: it was claimed for one, or its attempt is under way. */
  has(deliveryId: string): boolean {
    return this.#reserved.has(deliveryId);
  }

  /** Slots held, by webhook. */
  get byWebhook(): ReadonlyMap<string, number> {
    return this.#perWebhook;
  }

  /** Slots held, by the path that holds them. Counted when it is asked for, which is seldom. */
  get byPath(): Record<DeliveryPath, number> {
    let express = 0;
    for (const { kind } of this.#reserved.values()) if (kind === 'express') express++;
    return { workflow: this.#reserved.size - express, express };
  }

  /** Takes a slot, or holds one for its full time that was taken before. */
  reserve({ deliveryId, webhookId, tenantId = NOBODY }: Slot, kind: SlotKind = 'first'): void {
    const known = this.#reserved.get(deliveryId);
    const expiresAt = performance.now() + this.leaseMs;
    if (known) {
      known.expiresAt = expiresAt;
      if (known.tenantId === NOBODY && tenantId !== NOBODY) {
        this.#slots(known.kind)?.giveBack(NOBODY);
        known.tenantId = tenantId;
        this.#slots(known.kind)?.take(tenantId);
      }
      return;
    }
    this.#slots(kind)?.take(tenantId);
    this.#reserved.set(deliveryId, { webhookId, tenantId, expiresAt, kind });
    this.#perWebhook.set(webhookId, (this.#perWebhook.get(webhookId) ?? 0) + 1);
  }

  /** Takes a slot where its webhook has less than `cap` under way here, or holds the one it has. */
  enter(slot: Slot & { tenantId: string }, cap: number, kind: SlotKind): boolean {
    if (!this.#reserved.has(slot.deliveryId) && (this.#perWebhook.get(slot.webhookId) ?? 0) >= cap) return false;
    this.reserve(slot, kind);
    return true;
  }

  #slots(kind: SlotKind): TenantSlots | undefined {
    return kind === 'first' ? this.first : undefined;
  }

  /** Holds a slot for less than its lease: the attempt may not run here. */
  shorten(deliveryId: string, holdMs: number): void {
    const held = this.#reserved.get(deliveryId);
    if (held && !this.#running.has(deliveryId)) held.expiresAt = performance.now() + holdMs;
  }

  release(deliveryId: string): void {
    const held = this.#reserved.get(deliveryId);
    if (!held) return;
    this.#reserved.delete(deliveryId);
    this.#slots(held.kind)?.giveBack(held.tenantId);
    const left = (this.#perWebhook.get(held.webhookId) ?? 1) - 1;
    if (left > 0) this.#perWebhook.set(held.webhookId, left);
    else this.#perWebhook.delete(held.webhookId);
    // The express path sees for itself when it has room; the relay of workflows would be woken for nothing.
    if (held.kind !== 'express') this.#onRoom();
  }

  /** Drops slots whose workflow ran in another process, or never ran, once their time is over. */
  expire(): void {
    const now = performance.now();
    for (const [id, held] of this.#reserved) if (held.expiresAt < now && !this.#running.has(id)) this.release(id);
  }

  /** Runs an attempt, or joins the one of the same delivery and number. Frees the delivery's slot at its end. */
  run(deliveryId: string, number: number, attempt: () => Promise<AttemptResult>): Promise<AttemptResult> {
    const running = this.#running.get(deliveryId);
    if (running?.number === number) return running.result;
    const result = attempt().finally(() => {
      if (this.#running.get(deliveryId)?.result === result) this.#running.delete(deliveryId);
      this.release(deliveryId);
    });
    this.#running.set(deliveryId, { number, result });
    this.#onRoom();
    return result;
  }

  /** Counts a hand-over as under way until the workflow has been told how its attempt came out. Must not reject. */
  handOver(told: Promise<void>): void {
    this.#handOvers.add(told);
    void told.then(() => this.#handOvers.delete(told));
  }

  /** Waits until no attempt runs and every workflow was told, at most `limitMs`. False where some still did. */
  async drained(limitMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), limitMs);
    });
    const running = [...this.#running.values()].map(({ result }) => result);
    const ended = Promise.allSettled([...running, ...this.#handOvers]).then(() => true);
    return Promise.race([ended, expired]).finally(() => clearTimeout(timer));
  }
}
