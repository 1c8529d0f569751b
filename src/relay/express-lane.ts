import { type ClaimedWebhook, claimExpress, type ExpressDelivery } from '../db/claim-express';
import { cancelDelivery, findWait, releaseLeases } from '../db/control';
import type { Database } from '../db/database';
import { toFact } from '../delivery/attempt-record';
import type { InFlight } from '../delivery/in-flight';
import type { Attempts } from '../delivery/make-attempt';
import type { Made, Sendable } from '../delivery/post-attempt';
import { writeUntilTaken } from '../delivery/write-until-taken';
import type { FirstAttempt } from '../domain/first-attempt';
import { OwnTroubleError } from '../domain/own-trouble';
import type { Log } from '../log';
import type { RelayLane } from './relay';
import type { WaitingDelivery } from './start-workflow';
import { WebhookLine } from './webhook-line';

export type ExpressLaneSettings = {
  db: Database;
  attempts: Pick<Attempts, 'post' | 'writeAttempt'>;
  inFlight: InFlight;
  log: Log;
  /** Deliveries that this process may have in hand: waiting for their turn, under way or being written down. */
  capacity: number;
  modes: () => readonly FirstAttempt[];
  onClaim?: (taken: number) => void;
  /** Gives a delivery to the engine, for its next attempt. */
  startWaiting: (delivery: WaitingDelivery) => void;
};

/** Rows of one claim; more would keep the first of them waiting for the others' bodies. */
const MAX_CLAIM = 100;
/** Claims are this far apart while there is work: a few milliseconds that save most of the statements. */
const GATHER_MS = 5;
/** What has waited here for longer goes back to the queue: its endpoint has become slow. */
const MAX_WAIT_MS = 500;
/** After an attempt that could not be made for a reason of our own: no more of its webhook for so long, and then again. */
const BACK_OFF_MS = 1_000;
/** Held of a webhook that is to get nothing: above every cap. */
const ALL = 1_000_000;

/**
 * Makes the attempts of what it claims in this process, without a workflow: the same attempt, the same records, the same
 * gates. What does not succeed goes on as a workflow that waits for the next attempt. A lease stands for what is in
 * hand: if the process dies, another claim takes it, and what was sent but not written down is sent again.
 */
export function createExpressLane(settings: ExpressLaneSettings): RelayLane<ExpressDelivery> {
  const { db, attempts, inFlight, log, capacity } = settings;
  const inHand = new Map<string, number>();
  /** Claimed once more before this process was done with them. */
  const again = new Map<string, ExpressDelivery>();
  const lines = new Map<string, WebhookLine>();
  /** Attempts and hand-backs under way. */
  let running = 0;
  let onIdle: () => void = () => undefined;
  let heldAtClaim = new Map<string, number>();
  let wasFull = false;
  let stopping = false;
  let onRoom: () => void = () => undefined;

  function begin(deliveries: ExpressDelivery[]): void {
    const taken = new Map<string, { count: number; cap: number }>();
    settings.onClaim?.(deliveries.length);
    for (const delivery of deliveries) {
      if (inHand.has(delivery.deliveryId)) {
        again.set(delivery.deliveryId, delivery);
        continue;
      }
      lineUp(delivery);
      const own = taken.get(delivery.webhookId);
      if (own) own.count++;
      else taken.set(delivery.webhookId, { count: 1, cap: delivery.webhook?.cap ?? 0 });
    }
    for (const [webhookId, line] of lines) {
      const own = taken.get(webhookId);
      const room = (own?.cap ?? 0) - (heldAtClaim.get(webhookId) ?? 0);
      if (own || room > 0) line.capped = (own?.count ?? 0) >= room;
    }
    for (const webhookId of taken.keys()) pump(webhookId);
  }

  function lineUp(delivery: ExpressDelivery): void {
    inHand.set(delivery.deliveryId, performance.now());
    const line = lineOf(delivery.webhookId);
    line.paced = delivery.webhook?.paced ?? false;
    line.waiting.push(delivery);
  }

  /**
   * Lets go of a delivery after so many attempts. Where the claim that came meanwhile is for a later one, it was given
   * back or asked for anew in the moment before we heard of it. Else its lease ran out while its record waited for the
   * database, and that record has come since.
   */
  function letGo(deliveryId: string, attempts: number): void {
    inHand.delete(deliveryId);
    const next = again.get(deliveryId);
    again.delete(deliveryId);
    if (!next || next.queue.attempt < attempts) return;
    if (stopping) giveBack([next]);
    else {
      lineUp(next);
      pump(next.webhookId);
    }
  }

  /** Sends what waits, as far as the webhook's cap allows. */
  function pump(webhookId: string): void {
    const line = lineOf(webhookId);
    while (!stopping && line.failing === 0) {
      const next = line.waiting[0];
      if (!next || !inFlight.enter(next.deliveryId, webhookId, next.webhook?.cap ?? 1, 'express')) break;
      line.waiting.shift();
      running++;
      void make(next, line);
    }
    if (line.paced) giveBack(line.waiting.splice(0));
    if (line.capped && line.waiting.length <= line.ahead / 2) onRoom();
  }

  /** Never rejects. */
  async function make(delivery: ExpressDelivery, line: WebhookLine): Promise<void> {
    try {
      await attempt(delivery, line);
      letGo(delivery.deliveryId, delivery.queue.attempt + 1);
    } catch (error) {
      notMade(delivery, line, error as Error);
    }
    if (wasFull) onRoom();
    ended();
  }

  /** Nothing was sent, for a reason of ours. Told of once for all that the webhook has under way. */
  function notMade(delivery: ExpressDelivery, line: WebhookLine, error: Error): void {
    const first = !line.backsOff;
    line.backOffUntil = performance.now() + BACK_OFF_MS;
    if (error instanceof OwnTroubleError) {
      if (first) log.warn({ event: 'attempt_postponed', reason: error.reason });
      giveBack([delivery, ...line.waiting.splice(0)]);
      return;
    }
    // It may be this delivery's alone: its lease says when it is tried again.
    if (first) log.warn({ event: 'express_failed', err: error.message });
    letGo(delivery.deliveryId, delivery.queue.attempt + 1);
  }

  async function attempt(delivery: ExpressDelivery, line: WebhookLine): Promise<void> {
    const { deliveryId, webhook, queue } = delivery;
    const request = { deliveryId, number: queue.attempt + 1, cause: 'claimed' } as const;
    let made: Made;
    try {
      if (!webhook) return void (await cancelDelivery(db.kysely, deliveryId, 'always'));
      made = await attempts.post(delivery as Sendable, request);
    } finally {
      inFlight.release(deliveryId);
    }
    if (made.verdict.kind === 'delivered') {
      line.delivered();
      pump(delivery.webhookId);
      await settle(delivery, webhook, made);
      return;
    }
    line.failing++;
    await settle(delivery, webhook, made).finally(() => {
      line.failing--;
    });
    giveBack(line.waiting.splice(0));
  }

  async function settle(delivery: ExpressDelivery, { host }: ClaimedWebhook, { record, verdict }: Made): Promise<void> {
    const written = await writeUntilTaken(attempts.writeAttempt, record, () => stopping);
    if (written?.wanted) onRoom();
    if (!written || written.wanted || verdict.kind !== 'retry') return;
    // A record that was repeated may have been taken the first time: its answer was lost, and nobody else knows of it.
    const waitMs = written.moved ? verdict.waitMs : await findWait(db.kysely, delivery.deliveryId, record.number);
    if (waitMs === undefined) return;
    const { deliveryId, tenantId, webhookId, eventType } = delivery;
    settings.startWaiting({
      ...{ deliveryId, tenantId, webhookId, eventType, host },
      attempt: record.number,
      dueAtMs: Date.now() + waitMs,
      last: toFact(record),
    });
  }

  function giveBack(deliveries: ExpressDelivery[]): void {
    if (deliveries.length === 0) return;
    const ids = deliveries.map(({ deliveryId }) => deliveryId);
    running++;
    void releaseLeases(db.kysely, ids)
      .catch(() => undefined) // the leases run out
      .then(() => {
        for (const id of ids) letGo(id, 0);
        onRoom();
        ended();
      });
  }

  function ended(): void {
    running--;
    if (running === 0) onIdle();
  }

  /** What has waited too long goes back, and lines that nobody uses are forgotten. */
  function tidy(): void {
    const since = performance.now() - MAX_WAIT_MS;
    for (const [webhookId, line] of lines) {
      const first = line.waiting[0];
      if (first && (inHand.get(first.deliveryId) ?? 0) < since) giveBack(line.waiting.splice(0));
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
    room() {
      tidy();
      const room = Math.min(MAX_CLAIM, capacity - inHand.size);
      wasFull = room < MAX_CLAIM;
      return room;
    },
    held() {
      heldAtClaim = new Map(inFlight.byWebhook);
      for (const [webhookId, { waiting, ahead, backsOff }] of lines) {
        heldAtClaim.set(webhookId, backsOff ? ALL : (heldAtClaim.get(webhookId) ?? 0) + waiting.length - ahead);
      }
      return heldAtClaim;
    },
    claim: (request) => claimExpress(db.pool, request),
    begin,
    // A database that is away fails the claim itself, and nothing else is everyone's trouble.
    backOffUntil: () => 0,
    onRoom(callback) {
      onRoom = callback;
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
