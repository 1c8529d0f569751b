import { TenantSlots } from '../concurrency/tenant-slots';
import type { DeliveryPath } from '../domain/delivery-mode';
import type { AttemptResult } from './types';

/**
 * What a slot is held for. Slots of first attempts are shared out by tenant here; those of later ones in retry-capacity.ts,
 * those of the express path there.
 */
type SlotKind = 'first' | 'later' | 'express';
type Reservation = { webhookId: string; tenantId: string; expiresAt: number; kind: SlotKind; dueHere?: boolean };
/** An attempt's delivery. Its tenant may be unknown until the attempt is loaded. */
type Slot = { deliveryId: string; webhookId: string; tenantId?: string };

/** The tenant that a slot counts for until its attempt is loaded. */
const NOBODY = '';

/**
 * The slots that this process holds. A slot is taken when the relay claims a delivery or a later attempt begins, and
 * freed when the POST has ended and is recorded. They say how many more may be taken, by tenant and by webhook. Running
 * attempts are kept by delivery and number, so that a repeated activity joins the POST that is under way instead of
 * making a second one.
 */
export class InFlight {
  readonly #reserved = new Map<string, Reservation>();
  readonly #perWebhook = new Map<string, number>();
  /** Slots of first attempts of workflows, and of whatever else the relay claimed for a workflow. */
  readonly first: TenantSlots;
  readonly #running = new Map<string, { number: number; result: Promise<AttemptResult> }>();
  readonly #handOvers = new Set<Promise<void>>();
  #onCapacity: () => void = () => undefined;

  /**
   * @param capacity first attempts of one tenant that may be under way at once while no other tenant has any
   * @param leaseMs after this long a reservation is dropped: its row has become claimable again
   */
  constructor(
    capacity: number,
    readonly leaseMs: number,
  ) {
    this.first = new TenantSlots(capacity);
  }

  /** `callback` is called whenever more may be claimed: a slot was freed, or an attempt began. */
  onCapacity(callback: () => void): void {
    this.#onCapacity = callback;
  }

  /** Notes that this delivery's workflow task is queued in this process. */
  expectHere(deliveryId: string): void {
    const held = this.#reserved.get(deliveryId);
    if (held) held.dueHere = true;
  }

  /** Attempts whose workflow task is queued in this process and that have not begun. */
  get queued(): number {
    let count = 0;
    for (const [id, held] of this.#reserved) if (held.dueHere && !this.#running.has(id)) count++;
    return count;
  }

  /** Whether this delivery holds a slot here: it was claimed, or its attempt is under way. */
  has(deliveryId: string): boolean {
    return this.#reserved.has(deliveryId);
  }

  /** Slots held, by webhook. */
  get byWebhook(): ReadonlyMap<string, number> {
    return this.#perWebhook;
  }

  /** Slots held, by path. Counted at each call, which is seldom. */
  get byPath(): Record<DeliveryPath, number> {
    let express = 0;
    for (const { kind } of this.#reserved.values()) if (kind === 'express') express++;
    return { workflow: this.#reserved.size - express, express };
  }

  /** Takes a slot, or renews the full lease of the one that the delivery holds. */
  reserve({ deliveryId, webhookId, tenantId = NOBODY }: Slot, kind: SlotKind = 'first'): void {
    const known = this.#reserved.get(deliveryId);
    const expiresAt = performance.now() + this.leaseMs;
    if (known) {
      known.expiresAt = expiresAt;
      if (known.tenantId === NOBODY && tenantId !== NOBODY) {
        this.#slots(known.kind)?.release(NOBODY);
        known.tenantId = tenantId;
        this.#slots(known.kind)?.take(tenantId);
      }
      return;
    }
    this.#slots(kind)?.take(tenantId);
    this.#reserved.set(deliveryId, { webhookId, tenantId, expiresAt, kind });
    this.#perWebhook.set(webhookId, (this.#perWebhook.get(webhookId) ?? 0) + 1);
  }

  /** Takes a slot if its webhook has fewer than `cap` under way here, or renews the one it holds. False if it may not. */
  enter(slot: Slot & { tenantId: string }, cap: number, kind: SlotKind): boolean {
    if (!this.#reserved.has(slot.deliveryId) && (this.#perWebhook.get(slot.webhookId) ?? 0) >= cap) return false;
    this.reserve(slot, kind);
    return true;
  }

  #slots(kind: SlotKind): TenantSlots | undefined {
    return kind === 'first' ? this.first : undefined;
  }

  /** Shortens a slot's lease: its attempt may run in another process. */
  shorten(deliveryId: string, holdMs: number): void {
    const held = this.#reserved.get(deliveryId);
    if (held && !this.#running.has(deliveryId)) held.expiresAt = performance.now() + holdMs;
  }

  release(deliveryId: string): void {
    const held = this.#reserved.get(deliveryId);
    if (!held) return;
    this.#reserved.delete(deliveryId);
    this.#slots(held.kind)?.release(held.tenantId);
    const left = (this.#perWebhook.get(held.webhookId) ?? 1) - 1;
    if (left > 0) this.#perWebhook.set(held.webhookId, left);
    else this.#perWebhook.delete(held.webhookId);
    // The express path notices free slots by itself; the relay of workflows would be woken for nothing.
    if (held.kind !== 'express') this.#onCapacity();
  }

  /** Frees slots whose lease has ended: their workflow ran in another process, or never ran. */
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
    this.#onCapacity();
    return result;
  }

  /** Counts a hand-over as under way until the workflow was signalled the attempt's outcome. `signalled` must not reject. */
  handOver(signalled: Promise<void>): void {
    this.#handOvers.add(signalled);
    void signalled.then(() => this.#handOvers.delete(signalled));
  }

  /** Waits at most `limitMs` until no attempt runs and every workflow was signalled. False if some are left. */
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
