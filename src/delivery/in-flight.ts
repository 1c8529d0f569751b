import type { DeliveryLane } from '../domain/first-attempt';
import type { AttemptResult } from './types';

/** Who holds a slot: first attempts of workflows have a limit in all, later ones and the express lane have their own. */
type SlotKind = 'first' | 'later' | 'express';
type Reservation = { webhookId: string; expiresAt: number; kind: SlotKind; dueHere?: boolean };

/**
 * What this process has in hand. Reservations are slots, taken when the relay claims a delivery or a later attempt
 * begins, freed when its POST has ended and is recorded; they tell how much more may be taken, in all (first attempts)
 * and per webhook (both). Running attempts are kept by delivery and number, so that a repeated activity joins the POST that is
 * already under way instead of making a second one.
 */
export class InFlight {
  readonly #reserved = new Map<string, Reservation>();
  readonly #perWebhook = new Map<string, number>();
  /** Slots held by first attempts of workflows. */
  #first = 0;
  readonly #running = new Map<string, { number: number; result: Promise<AttemptResult> }>();
  readonly #handOvers = new Set<Promise<void>>();
  #onRoom: () => void = () => undefined;

  /**
   * @param capacity first attempts that may be under way at once
   * @param leaseMs after this long a reservation is dropped: its row has become claimable again
   */
  constructor(
    readonly capacity: number,
    readonly leaseMs: number,
  ) {}

  /** Calls back whenever there may be room for more: a slot was freed, or an attempt began. */
  onRoom(callback: () => void): void {
    this.#onRoom = callback;
  }

  get free(): number {
    return Math.max(0, this.capacity - this.#first);
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

  /** Slots held, by webhook. */
  get byWebhook(): ReadonlyMap<string, number> {
    return this.#perWebhook;
  }

  /** Slots held, by the lane that holds them. Counted when it is asked for, which is seldom. */
  get byLane(): Record<DeliveryLane, number> {
    let express = 0;
    for (const { kind } of this.#reserved.values()) if (kind === 'express') express++;
    return { workflow: this.#reserved.size - express, express };
  }

  /** Takes a slot, or holds one for its full time that was taken before. */
  reserve(deliveryId: string, webhookId: string, kind: SlotKind = 'first'): void {
    const known = this.#reserved.get(deliveryId);
    const expiresAt = performance.now() + this.leaseMs;
    if (known) {
      known.expiresAt = expiresAt;
      return;
    }
    if (kind === 'first') this.#first++;
    this.#reserved.set(deliveryId, { webhookId, expiresAt, kind });
    this.#perWebhook.set(webhookId, (this.#perWebhook.get(webhookId) ?? 0) + 1);
  }

  /** Takes a slot where its webhook has less than `cap` under way here, or holds the one it has. */
  enter(deliveryId: string, webhookId: string, cap: number, kind: SlotKind): boolean {
    if (!this.#reserved.has(deliveryId) && (this.#perWebhook.get(webhookId) ?? 0) >= cap) return false;
    this.reserve(deliveryId, webhookId, kind);
    return true;
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
    if (held.kind === 'first') this.#first--;
    const left = (this.#perWebhook.get(held.webhookId) ?? 1) - 1;
    if (left > 0) this.#perWebhook.set(held.webhookId, left);
    else this.#perWebhook.delete(held.webhookId);
    // The express lane sees for itself when it has room; the relay of workflows would be woken for nothing.
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
