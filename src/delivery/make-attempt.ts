import { createBatcher } from '../concurrency/batcher';
import type { SecretBox } from '../crypto/secret-box';
import { acquirePermit } from '../db/queue/acquire-permit';
import { endCancelled } from '../db/queue/cancel';
import { requeueDelivery, unfence } from '../db/queue/leases';
import { type AttemptContext, type AttemptKey, loadAttempts, type WebhookFacts } from '../db/queue/load-attempt';
import { reopenEnded } from '../db/queue/reopen';
import { wasRefused } from '../db/statement-errors';
import { CLAIM_FRESH_MS } from '../domain/limits';
import type { Sender } from '../egress/send';
import { triggerOf } from './attempt-record';
import { type AttemptWriterDeps, createAttemptWriter, type WriteAttempt } from './attempt-writer';
import { decide, type LiveDelivery } from './decide';
import type { Hold, Holding } from './holding';
import { type OpenedWebhook, openWebhook } from './open-webhook';
import { type CompletedPost, type How, postAttempt } from './post-attempt';
import { createRecorder } from './recorder';
import type { Sendable } from './sendable';
import { HeldElsewhere, type Pauses, StaleAttempt } from './stale';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from './types';

export type AttemptDeps = AttemptWriterDeps & {
  secretBox: SecretBox;
  sender: Sender;
  holding: Holding;
  pauses: Pauses;
  /** Takes a slot for an attempt, if its webhook has fewer than `cap` under way here (null: the installation's number). */
  acquireSlot: (delivery: { deliveryId: string; webhookId: string; tenantId: string }, cap: number | null) => boolean;
};

/** Attempts that begin together are loaded by one query. */
const LOAD_TOGETHER = { maxItems: 50, maxRunning: 4, keyOf: ({ deliveryId }: AttemptKey) => deliveryId };
/** Lease of an ordered webhook's slot beyond the POST's own limit: the body, recording, a slow database. */
const SLOT_MARGIN_MS = 30_000;
/** For this long no claim takes a delivery that was reopened here. */
const REOPENED_LEASE_MS = 30_000;
/** Loads in a row: the row may change between load and fence, or this process be stopped between load and POST. */
const RELOADS = 10;

/** Called with the time limit of a POST that is about to be made, milliseconds. */
export type OnPost = (timeoutMs: number) => void;

/** One attempt: load and fence, gate, sign, POST, classify, record. See {@link createAttempts}. */
export type Attempts = {
  /**
   * @throws HeldElsewhere if another live worker may be sending this attempt
   * @throws for a fault of our own, before anything was sent: the caller tries again
   */
  attempt(request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult>;
  /** Records an attempt whose POST was made. @throws while writes fail */
  recordCompleted(made: UnrecordedAttempt): Promise<AttemptResult>;
  /**
   * Only the POST of an attempt, for the express path, which has claimed and loaded the delivery and records it itself.
   * @throws StaleAttempt if `mayGo` returned false: nothing was sent
   */
  post(facts: Sendable, request: AttemptRequest, how: Omit<How, 'path'>): Promise<CompletedPost>;
  /** Records an attempt; both paths use this one. */
  writeAttempt: WriteAttempt;
  /** Resolves when attempts that ended after their delivery had moved on are recorded as well. */
  settled(): Promise<void>;
};

/**
 * Makes attempts. What the receiver did is data in the result, never an exception; and once a POST was made it is
 * not made again because Postgres failed: the recording is retried, here for a while and then by the workflow.
 */
export function createAttempts(deps: AttemptDeps): Attempts {
  const { db, secretBox, sender, log, holding, pauses } = deps;
  const { write: writeAttempt, settled } = createAttemptWriter(deps);
  const recorder = createRecorder({ db, log, writeAttempt, holding }, (request) => attempt(request));
  const load = createBatcher<AttemptKey, AttemptContext | undefined>(
    (keys) => loadAttempts(db.pool, keys),
    LOAD_TOGETHER,
  );

  /** Loads the attempt and fences it for this process. A load that failed may have fenced it all the same. */
  async function loadFor(request: AttemptRequest, { id: holder }: Hold, again: boolean) {
    const { deliveryId, number, cause, moves } = request;
    try {
      return await load({ deliveryId, number, fence: { holder, cause, moves, again } });
    } catch (error) {
      if (!wasRefused(error)) holding.retire(holder);
      throw error;
    }
  }

  async function attempt(request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult> {
    const made = recorder.findUnrecorded(request);
    if (made) return made;
    const hold = await holding.begin();
    try {
      return await attemptUnder(hold, request, onPost);
    } finally {
      hold.end();
    }
  }

  async function attemptUnder(hold: Hold, request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult> {
    const { deliveryId } = request;
    /** Nothing was sent: releases the fence, so that the next try need not wait. A statement that failed may be carried out later. */
    const release = (statement: Promise<void>) =>
      statement.catch((error: unknown) => {
        holding.retire(hold.id);
        throw error;
      });
    let fenced = false;
    for (let loads = 0; loads <= RELOADS; loads++) {
      const askedMs = performance.now();
      const facts = await loadFor(request, hold, fenced);
      fenced ||= facts?.fenced === true;
      const decision = decide(facts, request);
      switch (decision.do) {
        case 'answer':
          if (fenced) await release(unfence(db.kysely, request, hold.id));
          return decision.result;
        case 'leave':
          throw new HeldElsewhere();
        case 'reload':
          continue;
        case 'cancel':
          await release(endCancelled(db.kysely, deliveryId, decision.because, hold.id));
          return { kind: 'cancelled' };
        case 'requeue':
          await release(requeueDelivery(db.kysely, request, triggerOf(facts!, request), hold.id));
          return { kind: 'requeued' };
        case 'reopen': {
          const [reopened] = await reopenEnded(db.kysely, [deliveryId], {
            tenantId: facts!.tenantId,
            trigger: 'manual',
            askedBy: null,
            priority: 'high',
            leaseMs: REOPENED_LEASE_MS,
          });
          // Its webhook was deleted, or someone else reopened it: the next load tells which.
          return reopened ? attempt(request, onPost) : attempt({ ...request, cause: 'claimed' }, onPost);
        }
        case 'send': {
          const { webhook } = decision.facts;
          let post: CompletedPost;
          try {
            if (!(await mayGo(decision.facts, request, webhook.timeoutMs + SLOT_MARGIN_MS))) {
              await requeueDelivery(db.kysely, request, triggerOf(decision.facts, request), hold.id);
              return { kind: 'requeued' };
            }
            // A cancel that was asked for meanwhile waits no longer than this.
            if (performance.now() - askedMs > CLAIM_FRESH_MS) continue;
            post = await send(decision.facts, request, { askedMs, holder: hold.id }, onPost);
          } catch (error) {
            if (error instanceof StaleAttempt) continue;
            await release(unfence(db.kysely, request, hold.id)).catch(() => undefined);
            throw error;
          }
          return recorder.recordPatiently(post, request, hold);
        }
      }
    }
    if (fenced) await release(unfence(db.kysely, request, hold.id));
    throw new Error('this attempt cannot be begun: it keeps changing, or this process keeps being stopped');
  }

  /** Takes what the claim takes for a claimed attempt, and a timer's or a manual one must take itself: a slot here, and the webhook's slot or token. */
  async function mayGo(
    { tenantId, webhook }: LiveDelivery,
    { deliveryId, cause }: AttemptRequest,
    leaseMs: number,
  ): Promise<boolean> {
    const { gate } = webhook;
    const claimed = cause === 'claimed';
    const cap = claimed ? Number.POSITIVE_INFINITY : gate.maxInFlight;
    const acquired = deps.acquireSlot({ deliveryId, webhookId: webhook.id, tenantId }, cap);
    if (claimed || !acquired || !gate.serial) return acquired;
    return acquirePermit(db.kysely, deliveryId, webhook.id, leaseMs);
  }

  async function send(
    facts: LiveDelivery,
    request: AttemptRequest,
    { askedMs, holder }: { askedMs: number; holder: number },
    onPost?: OnPost,
  ): Promise<CompletedPost> {
    const opened = openWebhook(secretBox, facts.tenantId, facts.webhook);
    onPost?.(facts.webhook.timeoutMs);
    // Whether what was loaded still holds, as far as this process knows without asking Postgres.
    const mayGo = () => holding.isOurs(holder) && !pauses.pausedSince(askedMs);
    return postAttempt(sender, facts, request, opened, { path: 'workflow', holder, mayGo });
  }

  /** Deliveries of one claim share what it found of their webhook, and so what was opened of it. */
  const opened = new WeakMap<WebhookFacts, OpenedWebhook>();
  function post(facts: Sendable, request: AttemptRequest, how: Omit<How, 'path'>): Promise<CompletedPost> {
    const { tenantId, webhook } = facts;
    let open = opened.get(webhook);
    if (!open) {
      open = openWebhook(secretBox, tenantId, webhook);
      opened.set(webhook, open);
    }
    return postAttempt(sender, facts, request, open, { ...how, path: 'express' });
  }

  return { attempt, recordCompleted: recorder.recordCompleted, post, writeAttempt, settled };
}
