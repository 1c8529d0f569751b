import { TenantSlots } from '../../concurrency/tenant-slots';
import type { Database } from '../../db/database';
import { endCancelled } from '../../db/queue/cancel';
import { allowanceOf } from '../../db/queue/claim-budget';
import { type ClaimedWebhook, claimExpress, type ExpressDelivery } from '../../db/queue/claim-express';
import { findWait } from '../../db/queue/delivery-state';
import { releaseExpress } from '../../db/queue/leases';
import { toSummary } from '../../delivery/attempt-record';
import type { Holding } from '../../delivery/holding';
import type { InFlight } from '../../delivery/in-flight';
import type { Attempts } from '../../delivery/make-attempt';
import type { CompletedPost, Sendable } from '../../delivery/post-attempt';
import { recordWithRetry } from '../../delivery/record-with-retry';
import { type Pauses, StaleAttempt } from '../../delivery/stale';
import type { DeliveryMode } from '../../domain/delivery-mode';
import { CLAIM_FRESH_MS } from '../../domain/limits';
import { OwnTroubleError } from '../../domain/own-trouble';
import { type Log, reasonOf } from '../../log';
import type { WaitingDelivery } from '../../temporal/start-delivery';
import type { Claimed, RelayPath } from '../relay';
import { WebhookLine } from './webhook-line';

export type ExpressPathSettings = {
  db: Database;
  attempts: Pick<Attempts, 'post' | 'writeAttempt'>;
  inFlight: InFlight;
  holding: Holding;
  pauses: Pauses;
  log: Log;
  /**
   * Deliveries that one tenant may have in hand here while no other wants to: waiting for their turn, under way or being
   * written down. More are for others, see {@link TenantSlots}.
   */
  capacity: number;
  modes: () => readonly DeliveryMode[];
  onClaim?: (taken: number) => void;
  /** Gives a delivery to the engine, for its next attempt. */
  startWaiting: (delivery: WaitingDelivery) => void;
};

type Own = Pick<Claimed, 'hold' | 'askedMs'>;

/** Rows of one claim; more would keep the first of them waiting for the others' bodies. */
const MAX_CLAIM = 100;
/** Claims are this far apart while there is work: a few milliseconds that save most of the statements. */
const GATHER_MS = 5;
/** What has waited here for longer goes back to the queue: its endpoint has become slow. */
const MAX_WAIT_MS = 500;
/** After an attempt that could not be made for a reason of our own: no more of its webhook for so long, and then again. */
const BACK_OFF_MS = 1_000;
/** After which such a delivery is tried again: what is wrong with it may take a person to mend. */
const OWN_TROUBLE_MS = 30_000;

/**
 * Makes the attempts of what it claims in this process, without a workflow: the same attempt, the same records, the same
 * gates. What does not succeed goes on as a workflow that waits for the next attempt. What is in hand is held by this
 * process: if it dies, another claim takes it, and what was sent but not written down is sent again.
 */
export function createExpressPath(settings: ExpressPathSettings): RelayPath<ExpressDelivery> {
  const { db, attempts, inFlight, holding, pauses, log, capacity } = settings;
  const inHand = new Map<string, Own & { tenantId: string }>();
  const slots = new TenantSlots(capacity);
  /** Claimed once more before this process was done with them. */
  const again = new Map<string, { delivery: ExpressDelivery; claimed: Own }>();
  const lines = new Map<string, WebhookLine>();
  /** Attempts and hand-backs under way. */
  let running = 0;
  let onIdle: () => void = () => undefined;
  let wasFull = false;
  let stopping = false;
  let onCapacity: () => void = () => undefined;

  function begin(deliveries: ExpressDelivery[], { hold, budget, askedMs }: Claimed): void {
    const taken = new Map<string, { count: number; cap: number }>();
    settings.onClaim?.(deliveries.length);
    for (const delivery of deliveries) {
      if (inHand.has(delivery.deliveryId)) {
        again.set(delivery.deliveryId, { delivery, claimed: { hold: hold.share(), askedMs } });
        continue;
      }
      lineUp(delivery, { hold: hold.share(), askedMs });
      const own = taken.get(delivery.webhookId);
      if (own) own.count++;
      else taken.set(delivery.webhookId, { count: 1, cap: delivery.webhook?.cap ?? 0 });
    }
    for (const [webhookId, line] of lines) {
      const own = taken.get(webhookId);
      const allowance = allowanceOf(webhookId, own?.cap ?? 0, budget);
      if (own || allowance > 0) line.capped = (own?.count ?? 0) >= allowance;
    }
    for (const webhookId of taken.keys()) pump(webhookId);
  }

  function lineUp(delivery: ExpressDelivery, claimed: Own): void {
    take(delivery, claimed);
    const line = lineOf(delivery.webhookId);
    line.paced = delivery.webhook?.paced ?? false;
    line.waiting.push(delivery);
  }

  function take({ deliveryId, tenantId }: ExpressDelivery, claimed: Own): void {
    inHand.set(deliveryId, { ...claimed, tenantId });
    slots.take(tenantId);
  }

  /**
   * Lets go of a delivery after so many attempts. Where the claim that came meanwhile is for a later one, it was given
   * back or asked for anew in the moment before we heard of it. Else we were taken for dead meanwhile, and claimed it anew
   * under another id: it goes back.
   */
  function letGo(deliveryId: string, attempts: number): void {
    const held = inHand.get(deliveryId);
    if (held) slots.giveBack(held.tenantId);
    held?.hold.end();
    inHand.delete(deliveryId);
    const next = again.get(deliveryId);
    again.delete(deliveryId);
    if (!next) return;
    const { delivery, claimed } = next;
    if (stopping || delivery.queue.attempt < attempts) {
      take(delivery, claimed);
      giveBack([delivery]);
    } else {
      lineUp(delivery, claimed);
      pump(delivery.webhookId);
    }
  }

  /** What was claimed still counts, as far as this process can tell without asking. */
  function isOurs({ deliveryId, holder }: ExpressDelivery): boolean {
    const claimed = inHand.get(deliveryId);
    return claimed !== undefined && holding.isOurs(holder) && !pauses.pausedSince(claimed.askedMs);
  }

  /** It was claimed a moment ago: a cancel that came meanwhile is waited for by whoever asked for it. */
  function isFresh(delivery: ExpressDelivery): boolean {
    const claimed = inHand.get(delivery.deliveryId);
    return claimed !== undefined && performance.now() - claimed.askedMs <= CLAIM_FRESH_MS && isOurs(delivery);
  }

  /** Sends what waits, as far as the webhook's cap allows. */
  function pump(webhookId: string): void {
    const line = lineOf(webhookId);
    while (!stopping && line.failing === 0) {
      const next = line.waiting[0];
      if (next && !isFresh(next)) {
        giveBack(line.waiting.splice(0, 1));
        continue;
      }
      if (!next || !inFlight.enter(next, next.webhook?.cap ?? 1, 'express')) break;
      line.waiting.shift();
      running++;
      void make(next, line);
    }
    if (line.paced) giveBack(line.waiting.splice(0));
    if (line.capped && line.waiting.length <= line.ahead / 2) onCapacity();
  }

  /** Never rejects. */
  async function make(delivery: ExpressDelivery, line: WebhookLine): Promise<void> {
    try {
      await attempt(delivery, line);
      letGo(delivery.deliveryId, delivery.queue.attempt + 1);
    } catch (error) {
      notMade(delivery, line, error);
    }
    if (wasFull) onCapacity();
    ended();
  }

  /** Nothing was sent. What is ours is told of once for all that the webhook has under way. */
  function notMade(delivery: ExpressDelivery, line: WebhookLine, error: unknown): void {
    if (error instanceof StaleAttempt) {
      giveBack([delivery]);
      return;
    }
    const first = !line.backsOff;
    line.backOffUntil = performance.now() + BACK_OFF_MS;
    if (error instanceof OwnTroubleError) {
      if (first) log.warn({ event: 'attempt_postponed', reason: error.reason });
      giveBack([delivery, ...line.waiting.splice(0)]);
      return;
    }
    // It may be this delivery's alone: it is tried again in a while.
    if (first) log.warn({ event: 'express_failed', err: reasonOf(error) });
    giveBack([delivery], OWN_TROUBLE_MS);
  }

  async function attempt(delivery: ExpressDelivery, line: WebhookLine): Promise<void> {
    const { deliveryId, webhook, queue } = delivery;
    const request = { deliveryId, number: queue.attempt + 1, cause: 'claimed' } as const;
    let post: CompletedPost;
    try {
      if (queue.cancelAsked) return void (await endCancelled(db.kysely, deliveryId, 'asked', delivery.holder));
      if (!webhook) return void (await endCancelled(db.kysely, deliveryId, 'deleted'));
      post = await attempts.post(delivery as Sendable, request, {
        holder: delivery.holder,
        mayGo: () => isOurs(delivery),
      });
    } finally {
      inFlight.release(deliveryId);
    }
    if (post.verdict.kind === 'delivered') {
      line.delivered();
      pump(delivery.webhookId);
      await settle(delivery, webhook, post);
      return;
    }
    line.failing++;
    await settle(delivery, webhook, post).finally(() => {
      line.failing--;
    });
    giveBack(line.waiting.splice(0));
  }

  async function settle(
    delivery: ExpressDelivery,
    { host }: ClaimedWebhook,
    { record, verdict }: CompletedPost,
  ): Promise<void> {
    const written = await recordWithRetry(attempts.writeAttempt, record, () => stopping);
    if (written?.wanted) onCapacity();
    if (!written || written.wanted || written.cancelled || verdict.kind !== 'retry') return;
    // A record that was repeated may have been taken the first time: its answer was lost, and nobody else knows of it.
    const waitMs = written.moved ? verdict.waitMs : await findWait(db.kysely, delivery.deliveryId, record.number);
    if (waitMs === undefined) return;
    const { deliveryId, tenantId, webhookId, eventType } = delivery;
    settings.startWaiting({
      ...{ deliveryId, tenantId, webhookId, eventType, host },
      attempt: record.number,
      dueAtMs: performance.now() + waitMs,
      last: toSummary(record),
    });
  }

  /** Gives deliveries back to the queue, to be taken after so long. */
  function giveBack(deliveries: ExpressDelivery[], waitMs = 0): void {
    for (const [holder, ofHolder] of groupBy(deliveries, (delivery) => delivery.holder)) {
      const ids = ofHolder.map(({ deliveryId }) => deliveryId);
      running++;
      const held = ofHolder.map(({ deliveryId, queue }) => ({ deliveryId, number: queue.attempt + 1 }));
      void releaseExpress(db.kysely, held, holder, waitMs)
        // Nobody knows whether they are: they are once this id has ended.
        .catch(() => holding.retire(holder))
        .then(() => {
          for (const id of ids) letGo(id, 0);
          onCapacity();
          ended();
        });
    }
  }

  function ended(): void {
    running--;
    if (running === 0) onIdle();
  }

  /** What has waited too long goes back, and lines that nobody uses are forgotten. */
  function tidy(): void {
    const now = performance.now();
    for (const [webhookId, line] of lines) {
      const first = line.waiting[0];
      if (first && now - (inHand.get(first.deliveryId)?.askedMs ?? 0) > MAX_WAIT_MS) giveBack(line.waiting.splice(0));
      const idle = line.waiting.length === 0 && line.ahead === 0 && line.failing === 0 && !line.backsOff;
      if (idle && !inFlight.byWebhook.has(webhookId)) lines.delete(webhookId);
    }
  }

  function lineOf(webhookId: string): WebhookLine {
    const line = lines.get(webhookId) ?? new WebhookLine();
    lines.set(webhookId, line);
    return line;
  }

  return {
    name: 'express',
    modes: settings.modes,
    beforeClaim() {
      tidy();
      // Slots that are left, but not for everyone, may not be enough either.
      wasFull = slots.free < MAX_CLAIM;
    },
    capacity: () => Math.min(MAX_CLAIM, slots.left),
    tenants: () => slots.room,
    budget() {
      const occupied = new Map(inFlight.byWebhook);
      const prefetch = new Map<string, number>();
      const skip = new Set<string>();
      for (const [webhookId, { waiting, ahead, backsOff }] of lines) {
        occupied.set(webhookId, (occupied.get(webhookId) ?? 0) + waiting.length);
        prefetch.set(webhookId, ahead);
        if (backsOff) skip.add(webhookId);
      }
      return { occupied, prefetch, skip };
    },
    claim: (request) => claimExpress(db.pool, request),
    begin,
    // A database that is away fails the claim itself, and nothing else is everyone's trouble.
    backOffUntil: () => 0,
    onCapacity(callback) {
      onCapacity = callback;
    },
    gatherMs: GATHER_MS,
    async stop() {
      stopping = true;
      for (const line of lines.values()) giveBack(line.waiting.splice(0));
      while (running > 0) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
        });
      }
    },
  };
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
