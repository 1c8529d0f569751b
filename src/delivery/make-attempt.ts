import { cancelDelivery, leaseForRetry, requeueDelivery, takeTurn } from '../db/control';
import type { Database } from '../db/database';
import { loadAttempt } from '../db/load-attempt';
import { reopenEnded } from '../db/reopen';
import type { SecretBox } from '../db/secret-box';
import { classify } from '../domain/classify';
import { toPublicId } from '../domain/ids';
import { toRetryPolicy } from '../domain/retry-schedule';
import { buildHeaders } from '../egress/headers';
import type { Sender } from '../egress/send';
import type { Log } from '../log';
import { toPostResult, toRecord, triggerOf } from './attempt-record';
import { decide, type Live } from './decide';
import { placeOf, toNext } from './next-step';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from './types';
import { createRecorder } from './write-attempt';

export type AttemptDeps = {
  db: Database;
  secretBox: SecretBox;
  sender: Sender;
  log: Log;
  /** Makes room for an attempt of this webhook, which may have `cap` under way (null: the usual number). */
  takeRoom: (deliveryId: string, webhookId: string, cap: number | null) => boolean;
  /** An operational event waits to be published. */
  onRaised: () => void;
};

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
};

/**
 * Makes attempts. What the receiver did is data in the result, never an exception; and once a POST was made it is
 * not made again because Postgres failed: the recording is repeated, here for a while and then by the workflow.
 */
export function createAttempts(deps: AttemptDeps): Attempts {
  const { db, secretBox, sender } = deps;
  const recorder = createRecorder(deps, (request) => attempt(request));

  async function attempt(request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult> {
    const { deliveryId } = request;
    const facts = await loadAttempt(db.pool, deliveryId, request.number);
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
    const { deliveryId, number } = request;
    const { webhook } = facts;
    const policy = toRetryPolicy(webhook.retryPolicy);
    const owner = { tenantId: facts.tenantId, webhookId: webhook.id };
    const headers = buildHeaders({
      eventId: toPublicId('event', facts.eventId),
      deliveryId: toPublicId('delivery', deliveryId),
      eventType: facts.eventType,
      attemptNumber: number,
      retryable: classify({ statusCode: 500 }, policy, placeOf(facts, request, 0)).kind === 'retry',
      timestampSeconds: Math.floor(Date.now() / 1000),
      body: facts.body,
      secrets: webhook.sealedSecrets.map((secret) => secretBox.open(secret.sealed, owner)),
      styles: webhook.signatureStyles,
      custom: webhook.sealedHeaders === null ? {} : JSON.parse(secretBox.open(webhook.sealedHeaders, owner)),
    });
    onPost?.(webhook.timeoutMs);
    const result = await sender.send({ url: webhook.url, headers, body: facts.body, timeoutMs: webhook.timeoutMs });
    const place = placeOf(facts, request, result.durationMs);
    const verdict = classify(toPostResult(result), policy, place);
    const record = toRecord(facts, request, headers, result, toNext(verdict, place));
    return recorder.recordPatiently(record, verdict, request);
  }

  return { attempt, recordMade: recorder.recordMade };
}
