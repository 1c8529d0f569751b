import type { Database } from '../../db/database';
import { endCancelled } from '../../db/queue/cancel';
import { allowanceOf, type ClaimBudget } from '../../db/queue/claim-budget';
import { claimExpress, type ExpressDelivery } from '../../db/queue/claim-express';
import type { ClaimRequest } from '../../db/queue/claim-request';
import { findWait } from '../../db/queue/delivery-state';
import { releaseExpress } from '../../db/queue/leases';
import type { Holding } from '../../delivery/holding';
import type { InFlight } from '../../delivery/in-flight';
import { type Pauses, StaleAttempt } from '../../delivery/stale';
import type { DeliveryMode } from '../../domain/delivery-mode';
import { OwnTroubleError } from '../../domain/own-trouble';
import { type Log, reasonOf } from '../../log';
import type { Claimed, RelayPath } from '../relay';
import { ClaimLedger } from './claim-ledger';
import { DeliveryBuffer } from './delivery-buffer';
import { createExpressSender, type ExpressSender, type SenderSettings } from './express-sender';

export type ExpressPathSettings = Pick<SenderSettings, 'attempts' | 'startWaiting'> & {
  db: Database;
  inFlight: InFlight;
  holding: Holding;
  pauses: Pauses;
  log: Log;
  /**
   * Deliveries that one tenant may have here while no other wants to: waiting for their attempts, under way or being
   * recorded. More are for others, see {@link ClaimLedger}.
   */
  capacity: number;
  modes: () => readonly DeliveryMode[];
  /** Called after each claim with the number of deliveries that it brought. */
  onClaim?: (claimed: number) => void;
};

type Buffer = DeliveryBuffer<ExpressDelivery>;

/** Rows of one claim; more would keep the first of them waiting for the others' bodies. */
const MAX_CLAIM = 100;
/** Claims are this far apart while there is work: a few milliseconds that save most of the statements. */
const GATHER_MS = 5;
/** What has waited here for longer goes back to the queue: its endpoint has become slow. */
const MAX_WAIT_MS = 500;
/** After an attempt that could not be made for a reason of our own, nothing of its webhook is claimed for this long. */
const BACK_OFF_MS = 1_000;
/** After this long such a delivery is tried again: what is wrong with it may take a person to mend. */
const OWN_TROUBLE_MS = 30_000;
/** A webhook of which a claim brought nothing. */
const NOTHING = { count: 0, cap: 0 };

/**
 * Makes the attempts of what it claims in this process, without a workflow: the same attempt, the same records, the same
 * gates. What does not succeed goes on as a workflow that waits for the next attempt. If this process dies, another one
 * claims what it held, and sends again what was sent and not recorded.
 *
 * A claimed delivery is entered in the ledger and put into its webhook's buffer. `#pump` sends what the webhook's cap
 * allows; the ledger's claim ends once the attempt is recorded, or the delivery has gone back to the queue unsent.
 */
export class ExpressPath implements RelayPath<ExpressDelivery> {
  readonly name = 'express';
  readonly gatherMs = GATHER_MS;
  readonly #settings: ExpressPathSettings;
  readonly #ledger: ClaimLedger<ExpressDelivery>;
  readonly #sender: ExpressSender;
  /** By webhook. */
  readonly #buffers = new Map<string, Buffer>();
  /** Attempts under way, and releases that Postgres has not answered. */
  #running = 0;
  #onIdle: () => void = () => undefined;
  #onCapacity: () => void = () => undefined;
  /** Before the last claim there were fewer slots than it might have filled. */
  #capacityIsShort = false;
  #stopping = false;

  constructor(settings: ExpressPathSettings) {
    const { db, holding, pauses, inFlight, attempts, startWaiting, capacity } = settings;
    this.#settings = settings;
    this.#ledger = new ClaimLedger({
      capacity,
      isHeld: (holder, sinceMs) => holding.isOurs(holder) && !pauses.pausedSince(sinceMs),
    });
    this.#sender = createExpressSender({
      ...{ attempts, inFlight, startWaiting },
      cancel: ({ deliveryId, holder }, why) => endCancelled(db.kysely, deliveryId, why, holder),
      findWait: (deliveryId, attempt) => findWait(db.kysely, deliveryId, attempt),
      isOurs: (delivery) => this.#ledger.isOurs(delivery),
      stopping: () => this.#stopping,
      onClaimable: () => this.#onCapacity(),
    });
  }

  modes(): readonly DeliveryMode[] {
    return this.#settings.modes();
  }

  beforeClaim(): void {
    this.#tidy();
    // Slots that are left, but not for everyone, may not be enough either.
    this.#capacityIsShort = this.#ledger.free < MAX_CLAIM;
  }

  capacity(): number {
    return Math.min(MAX_CLAIM, this.#ledger.left);
  }

  tenants() {
    return this.#ledger.tenants;
  }

  budget(): ClaimBudget {
    const occupied = new Map(this.#settings.inFlight.byWebhook);
    const prefetch = new Map<string, number>();
    const skip = new Set<string>();
    for (const [webhookId, buffer] of this.#buffers) {
      occupied.set(webhookId, (occupied.get(webhookId) ?? 0) + buffer.size);
      prefetch.set(webhookId, buffer.prefetchLimit);
      if (buffer.backsOff) skip.add(webhookId);
    }
    return { occupied, prefetch, skip };
  }

  claim(request: ClaimRequest) {
    return claimExpress(this.#settings.db.pool, request);
  }

  begin(deliveries: ExpressDelivery[], { hold, budget, askedMs }: Claimed): void {
    const claimed = new Map<string, { count: number; cap: number }>();
    this.#settings.onClaim?.(deliveries.length);
    for (const delivery of deliveries) {
      const how = this.#ledger.take({ delivery, hold: hold.share(), askedMs });
      if (how === 'reclaimed') continue;
      this.#push(delivery);
      const ofWebhook = claimed.get(delivery.webhookId);
      if (ofWebhook) ofWebhook.count++;
      else claimed.set(delivery.webhookId, { count: 1, cap: delivery.webhook?.cap ?? 0 });
    }
    for (const [webhookId, buffer] of this.#buffers) {
      const { count, cap } = claimed.get(webhookId) ?? NOTHING;
      buffer.noteClaim(count, allowanceOf(webhookId, cap, budget));
    }
    for (const webhookId of claimed.keys()) this.#pump(webhookId);
  }

  /** A database that is unavailable fails the claim itself, and nothing else concerns all webhooks. */
  backOffUntil(): number {
    return 0;
  }

  onCapacity(callback: () => void): void {
    this.#onCapacity = callback;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const buffer of this.#buffers.values()) this.#returnToQueue(buffer.drain());
    while (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
  }

  #bufferOf(webhookId: string): Buffer {
    const buffer = this.#buffers.get(webhookId) ?? new DeliveryBuffer();
    this.#buffers.set(webhookId, buffer);
    return buffer;
  }

  #push(delivery: ExpressDelivery): void {
    this.#bufferOf(delivery.webhookId).push(delivery, { rateLimited: delivery.webhook?.paced ?? false });
  }

  /** Begins attempts of what waits, as far as the webhook's cap allows. */
  #pump(webhookId: string): void {
    const { inFlight } = this.#settings;
    const buffer = this.#bufferOf(webhookId);
    for (let next = buffer.next; next && !this.#stopping; next = buffer.next) {
      const isFresh = this.#ledger.isFresh(next);
      if (isFresh && !inFlight.enter(next, next.webhook?.cap ?? 1, 'express')) break;
      buffer.shift();
      if (isFresh) void this.#make(next, buffer);
      else this.#returnToQueue([next]);
    }
    if (buffer.rateLimited) this.#returnToQueue(buffer.drain());
    if (buffer.wantsMore) this.#onCapacity();
  }

  /** Never rejects. */
  async #make(delivery: ExpressDelivery, buffer: Buffer): Promise<void> {
    this.#running++;
    try {
      await this.#attempt(delivery, buffer);
      this.#release(delivery.deliveryId, delivery.queue.attempt + 1);
    } catch (error) {
      this.#onNotMade(delivery, buffer, error);
    }
    if (this.#capacityIsShort) this.#onCapacity();
    this.#ended();
  }

  /** @throws if nothing was sent, or Postgres does not tell what became of a record that was repeated */
  async #attempt(delivery: ExpressDelivery, buffer: Buffer): Promise<void> {
    const sent = await this.#sender.send(delivery);
    if (!sent) return;
    if (sent.post.verdict.kind === 'delivered') {
      buffer.onDelivered();
      this.#pump(delivery.webhookId);
      await this.#sender.settle(delivery, sent);
      return;
    }
    const onRecorded = buffer.onFailed();
    await this.#sender.settle(delivery, sent).finally(onRecorded);
    // The next claim judges what waited by the gate as it is now.
    this.#returnToQueue(buffer.drain());
  }

  /** Called after an attempt that could not be made. A reason of our own is logged once for all of the webhook's. */
  #onNotMade(delivery: ExpressDelivery, buffer: Buffer, error: unknown): void {
    const { log } = this.#settings;
    if (error instanceof StaleAttempt) {
      this.#returnToQueue([delivery]);
      return;
    }
    const isNew = buffer.backOff(BACK_OFF_MS);
    if (error instanceof OwnTroubleError) {
      if (isNew) log.warn({ event: 'attempt_postponed', reason: error.reason, error_code: error.libraryCode });
      this.#returnToQueue([delivery, ...buffer.drain()]);
      return;
    }
    // It may be this delivery's alone: it is tried again in a while.
    if (isNew) log.warn({ event: 'express_failed', err: reasonOf(error) });
    this.#returnToQueue([delivery], OWN_TROUBLE_MS);
  }

  /** Releases deliveries in the queue, and once that is answered their claims here; nobody takes them for `waitMs`. */
  #returnToQueue(deliveries: ExpressDelivery[], waitMs = 0): void {
    const { db, holding } = this.#settings;
    for (const [holder, ofHolder] of groupBy(deliveries, (delivery) => delivery.holder)) {
      const held = ofHolder.map(({ deliveryId, queue }) => ({ deliveryId, number: queue.attempt + 1 }));
      this.#running++;
      void releaseExpress(db.kysely, held, holder, waitMs)
        // Nobody knows whether they were released: they are once this id has ended.
        .catch(() => holding.retire(holder))
        .then(() => {
          for (const { deliveryId } of held) this.#release(deliveryId, 0);
          this.#onCapacity();
          this.#ended();
        });
    }
  }

  /** Ends a claim here. A later one of the same delivery is sent, or goes back if it must not be. */
  #release(deliveryId: string, attemptsMade: number): void {
    const next = this.#ledger.release(deliveryId, attemptsMade);
    if (!next) return;
    if (this.#stopping || next.alreadyMade) {
      this.#returnToQueue([next.delivery]);
      return;
    }
    this.#push(next.delivery);
    this.#pump(next.delivery.webhookId);
  }

  #ended(): void {
    this.#running--;
    if (this.#running === 0) this.#onIdle();
  }

  /** What has waited too long goes back to the queue, and buffers that nobody uses are dropped. */
  #tidy(): void {
    for (const [webhookId, buffer] of this.#buffers) {
      const { oldest } = buffer;
      if (oldest && this.#ledger.ageMs(oldest.deliveryId) > MAX_WAIT_MS) this.#returnToQueue(buffer.drain());
      if (buffer.isIdle && !this.#settings.inFlight.byWebhook.has(webhookId)) this.#buffers.delete(webhookId);
    }
  }
}

function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
