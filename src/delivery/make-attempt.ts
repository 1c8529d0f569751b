import { createBatcher } from '../db/batcher';
import { cancelDelivery, leaseForRetry, requeueDelivery, takeTurn } from '../db/control';
import { type AttemptFacts, type AttemptKey, loadAttempts, type WebhookFacts } from '../db/load-attempt';
import { reopenEnded } from '../db/reopen';
import type { SecretBox } from '../db/secret-box';
import type { Sender } from '../egress/send';
import { triggerOf } from './attempt-record';
import { type AttemptWriterDeps, createAttemptWriter, type WriteAttempt } from './attempt-writer';
import { decide, type Live } from './decide';
import { type OpenedWebhook, openWebhook } from './open-webhook';
import { type Made, postAttempt, type Sendable } from './post-attempt';
import { createRecorder } from './recorder';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from './types';

export type AttemptDeps = AttemptWriterDeps & {
  secretBox: SecretBox;
  sender: Sender;
  /** Makes room for an attempt of this webhook, which may have `cap` under way (null: the usual number). */
  takeRoom: (deliveryId: string, webhookId: string, cap: number | null) => boolean;
};

/** Attempts that begin together are loaded by one query. */
const LOAD_TOGETHER = { maxItems: 50, maxRunning: 4 };
/** Beyond the POST's own limit: the body, the record, a slow database. */
const RETRY_LEASE_MARGIN_MS = 30_000;

/** Hears the limit of a POST that is about to be made, milliseconds. */
export type OnPost = (timeoutMs: number) => void;

/** One attempt: load, gate, sign, POST, classify, record. See {@link createAttempts}. */
export type Attempts = {
  /** @throws only for what is ours, before anything was sent: the caller tries again */
  attempt(request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult>;
  /** Writes down an attempt whose POST was made. @throws while the database does not take it */
  recordMade(made: UnrecordedAttempt): Promise<AttemptResult>;
  /** The attempt of a delivery that the express lane has claimed and loaded: without gate and record. @throws as above */
  post(facts: Sendable, request: AttemptRequest): Promise<Made>;
  /** The writer of both lanes. */
  writeAttempt: WriteAttempt;
};

/**
 * Makes attempts. What the receiver did is data in the result, never an exception; and once a POST was made it is
 * not made again because Postgres failed: the recording is repeated, here for a while and then by the workflow.
 */
export function createAttempts(deps: AttemptDeps): Attempts {
  const { db, secretBox, sender, log } = deps;
  const writeAttempt = createAttemptWriter(deps);
  const recorder = createRecorder({ db, log, writeAttempt }, (request) => attempt(request));
  const load = createBatcher<AttemptKey, AttemptFacts | undefined>(
    (keys) => loadAttempts(db.pool, keys),
    LOAD_TOGETHER,
  );

  async function attempt(request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult> {
    const { deliveryId } = request;
    const facts = await load(request);
    const decision = decide(facts, request);
    switch (decision.do) {
      case 'answer':
        return decision.result;
      case 'cancel':
        await cancelDelivery(db.kysely, deliveryId, 'always');
        return { kind: 'cancelled' };
      case 'requeue':
        await requeueDelivery(db.kysely, deliveryId, triggerOf(facts!, request));
        return { kind: 'requeued' };
      case 'reopen': {
        const [reopened] = await reopenEnded(db.kysely, [deliveryId], {
          tenantId: facts!.tenantId,
          trigger: 'manual',
          askedBy: null,
          lane: 'high',
          leaseMs: RETRY_LEASE_MARGIN_MS,
        });
        // Its webhook was deleted, or someone else reopened it: the record says which.
        return reopened ? attempt(request) : attempt({ ...request, cause: 'claimed' });
      }
      case 'send': {
        const { webhook } = decision.facts;
        const leaseMs = webhook.timeoutMs + RETRY_LEASE_MARGIN_MS;
        const due = request.cause !== 'claimed';
        if (due && !(await leaseForRetry(db.kysely, deliveryId, leaseMs))) return attempt(request);
        if (await mayGo(decision.facts, request, leaseMs)) return send(decision.facts, request, onPost);
        await requeueDelivery(db.kysely, deliveryId, triggerOf(decision.facts, request));
        return { kind: 'requeued' };
      }
    }
  }

  /** What the claim saw to already, an attempt by timer or by hand must find for itself: room, and its webhook's turn. */
  async function mayGo({ webhook }: Live, { deliveryId, cause }: AttemptRequest, leaseMs: number): Promise<boolean> {
    const { gate } = webhook;
    const claimed = cause === 'claimed';
    const room = deps.takeRoom(deliveryId, webhook.id, claimed ? Number.POSITIVE_INFINITY : gate.maxInFlight);
    if (claimed || !room || !gate.serial) return room;
    return takeTurn(db.kysely, deliveryId, webhook.id, leaseMs);
  }

  async function send(facts: Live, request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult> {
    const opened = openWebhook(secretBox, facts.tenantId, facts.webhook);
    onPost?.(facts.webhook.timeoutMs);
    return recorder.recordPatiently(await postAttempt(sender, facts, request, opened, 'workflow'), request);
  }

  /** Deliveries of one claim share what it found of their webhook, and so what was opened of it. */
  const opened = new WeakMap<WebhookFacts, OpenedWebhook>();
  function post(facts: Sendable, request: AttemptRequest): Promise<Made> {
    const { tenantId, webhook } = facts;
    let open = opened.get(webhook);
    if (!open) {
      open = openWebhook(secretBox, tenantId, webhook);
      opened.set(webhook, open);
    }
    return postAttempt(sender, facts, request, open, 'express');
  }

  return { attempt, recordMade: recorder.recordMade, post, writeAttempt };
}
