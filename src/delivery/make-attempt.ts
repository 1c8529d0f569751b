import { setTimeout as sleep } from 'node:timers/promises';
import { cancelDelivery, leaseForRetry, reopenDelivery, requeueDelivery } from '../db/control';
import type { Database } from '../db/database';
import { loadAttempt } from '../db/load-attempt';
import { type AttemptNext, type AttemptRecord, recordAttempts } from '../db/record-attempts';
import type { SecretBox } from '../db/secret-box';
import { classify, type PostResult, type Verdict } from '../domain/classify';
import { toPublicId } from '../domain/ids';
import { toRetryPolicy } from '../domain/retry-schedule';
import { buildHeaders } from '../egress/headers';
import type { Sender, SendResult } from '../egress/send';
import type { Log } from '../log';
import { fromUnrecorded, logAttempt, toFact, toRecord, toUnrecorded, triggerOf } from './attempt-record';
import { decide, type Live } from './decide';
import type { AttemptRequest, AttemptResult, UnrecordedAttempt } from './types';

export type AttemptDeps = { db: Database; secretBox: SecretBox; sender: Sender; log: Log };

/** How long a made POST waits for Postgres to take its record before the workflow is asked to see to it. */
const RECORD_PATIENCE_MS = 1_000;
const RECORD_RETRY_MS = 200;
/** Beyond the POST's own limit: the body, the record, a slow database. */
const RETRY_LEASE_MARGIN_MS = 30_000;
/** Details of made but unrecorded attempts that are remembered here, so that the log loses nothing. */
const MAX_REMEMBERED = 1_000;

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
export function createAttempts({ db, secretBox, sender, log }: AttemptDeps): Attempts {
  const remembered = new Map<string, AttemptRecord>();

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
        const reopened = await reopenDelivery(db.kysely, deliveryId, 'manual', { leaseMs: RETRY_LEASE_MARGIN_MS });
        // Its webhook was deleted, or someone else reopened it: the record says which.
        return reopened ? attempt(request) : attempt({ ...request, cause: 'claimed' });
      }
      case 'send':
        return send(decision.facts, request, onPost);
    }
  }

  async function send(facts: Live, request: AttemptRequest, onPost?: OnPost): Promise<AttemptResult> {
    const { deliveryId, number, cause } = request;
    const { webhook } = facts;
    const policy = toRetryPolicy(webhook.retryPolicy);
    if (cause !== 'claimed') {
      const held = await leaseForRetry(db.kysely, deliveryId, webhook.timeoutMs + RETRY_LEASE_MARGIN_MS);
      if (!held) return attempt(request);
    }
    const owner = { tenantId: facts.tenantId, webhookId: webhook.id };
    const headers = buildHeaders({
      eventId: toPublicId('event', facts.eventId),
      deliveryId: toPublicId('delivery', deliveryId),
      eventType: facts.eventType,
      attemptNumber: number,
      retryable: classify({ statusCode: 500 }, policy, place(facts, request)).kind === 'retry',
      timestampSeconds: Math.floor(Date.now() / 1000),
      body: facts.body,
      secrets: webhook.sealedSecrets.map((secret) => secretBox.open(secret.sealed, owner)),
      styles: ['standard', 'x-webhook'],
      custom: {},
    });
    onPost?.(webhook.timeoutMs);
    const result = await sender.send({ url: webhook.url, headers, body: facts.body, timeoutMs: webhook.timeoutMs });
    const verdict = classify(toPostResult(result), policy, place(facts, request));
    const record = toRecord(facts, request, headers, result, toNext(verdict, facts, request));
    return recordPatiently(record, verdict, request);
  }

  async function recordPatiently(
    record: AttemptRecord,
    verdict: Verdict,
    request: AttemptRequest,
  ): Promise<AttemptResult> {
    let patient = true;
    const written = (async () => {
      for (;;) {
        try {
          return await write(record, verdict, request);
        } catch (error) {
          if (!patient) return undefined;
          log.warn({ event: 'record_failed', delivery_id: record.deliveryId, err: message(error) });
          await sleep(RECORD_RETRY_MS);
        }
      }
    })();
    // A database that neither answers nor refuses must not hold the outcome back either.
    const inTime = await Promise.race([written, sleep(RECORD_PATIENCE_MS, undefined, { ref: false })]);
    if (inTime) return inTime;
    patient = false;
    if (remembered.size < MAX_REMEMBERED) remembered.set(`${record.deliveryId}/${record.number}`, record);
    return { kind: 'unrecorded', record: toUnrecorded(record, request) };
  }

  async function write(record: AttemptRecord, verdict: Verdict, request: AttemptRequest): Promise<AttemptResult> {
    const { moved, logged } = await recordAttempts(db.pool, [record]);
    // One line per attempt, however often its recording had to be repeated.
    if (logged.has(record.deliveryId)) logAttempt(log, record);
    if (!moved.has(record.deliveryId)) return attempt({ ...request, cause: 'claimed' });
    const last = toFact(record);
    if (verdict.kind !== 'retry') return { kind: verdict.kind, last };
    return {
      kind: 'retry',
      waitMs: verdict.waitMs,
      kept: record.next.kind === 'keep_waiting',
      attempt: record.number,
      last,
    };
  }

  async function recordMade(made: UnrecordedAttempt): Promise<AttemptResult> {
    const request = { deliveryId: made.deliveryId, number: made.number, cause: made.cause };
    const facts = await loadAttempt(db.pool, made.deliveryId, made.number);
    const decision = decide(facts, request);
    if (!facts?.queue || !facts.webhook || facts.recorded) {
      return decision.do === 'answer' ? decision.result : { kind: 'cancelled' };
    }
    const live = { ...facts, queue: facts.queue, webhook: facts.webhook };
    const result: PostResult =
      made.statusCode !== undefined
        ? { statusCode: made.statusCode }
        : { errorCode: made.errorCode ?? 'unknown', blocked: false };
    const verdict = classify(result, toRetryPolicy(live.webhook.retryPolicy), place(live, request));
    const key = `${made.deliveryId}/${made.number}`;
    const record = { ...(remembered.get(key) ?? fromUnrecorded(made, live)), next: toNext(verdict, live, request) };
    const answer = await write(record, verdict, request);
    remembered.delete(key);
    return answer;
  }

  return { attempt, recordMade };
}

/** An attempt made by hand while a timer runs leaves that timer alone; every other one uses up a step. */
function place({ queue }: Live, { cause }: AttemptRequest) {
  return cause === 'manual' && queue.timed
    ? ({ kind: 'manual', remainingWaitMs: queue.remainingMs } as const)
    : ({
        kind: 'scheduled',
        attemptsMade: queue.step + 1,
        elapsedMs: queue.elapsedMs,
        random: Math.random(),
      } as const);
}

function toPostResult(result: SendResult): PostResult {
  return result.kind === 'response'
    ? { statusCode: result.statusCode }
    : { errorCode: result.code, blocked: result.stage === 'blocked' };
}

function toNext(verdict: Verdict, facts: Live, request: AttemptRequest): AttemptNext {
  switch (verdict.kind) {
    case 'delivered':
      return { kind: 'end', state: 'delivered', because: null };
    case 'failed':
      return { kind: 'end', state: 'failed', because: verdict.reason };
    case 'retry':
      return place(facts, request).kind === 'manual'
        ? { kind: 'keep_waiting' }
        : { kind: 'wait', waitMs: verdict.waitMs };
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
