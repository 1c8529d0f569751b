import type { AttemptRecord } from '../db/queue/record-attempts';
import { classify, type Verdict } from '../domain/classify';
import type { DeliveryPath } from '../domain/delivery-mode';
import { toPublicId } from '../domain/ids';
import { toRetryPolicy } from '../domain/retry-schedule';
import { NotSentError } from '../egress/exchange';
import { buildHeaders, redactHeaders } from '../egress/headers';
import type { Sender } from '../egress/send';
import { toPostResult, toRecord } from './attempt-record';
import { makeBody } from './make-body';
import { positionOf, toNext } from './next-step';
import type { OpenedWebhook } from './open-webhook';
import type { Sendable } from './sendable';
import { StaleAttempt } from './stale';
import type { AttemptRequest } from './types';

/** The path that makes it, the holder id that holds it, and `mayGo`, called right before it is written to its connection. */
export type How = { path: DeliveryPath; holder: number; mayGo: () => boolean };

/** A POST that has ended and is yet to be recorded, with what follows from it. */
export type CompletedPost = { record: AttemptRecord; verdict: Verdict };

/**
 * Signs, POSTs and classifies; both paths make their attempts here. What the receiver did is data in the result.
 * @throws StaleAttempt if `mayGo` returned false: nothing was sent
 */
export async function postAttempt(
  sender: Sender,
  facts: Sendable,
  request: AttemptRequest,
  { secrets, headers: custom, signature, shown }: OpenedWebhook,
  { path, holder, mayGo }: How,
): Promise<CompletedPost> {
  const { webhook } = facts;
  const policy = toRetryPolicy(webhook.retryPolicy);
  const timestampMs = Date.now();
  const deliveryId = toPublicId('delivery', request.deliveryId);
  const retryable = classify({ statusCode: 500 }, policy, positionOf(facts, request, 0)).kind === 'retry';
  const made = makeBody(webhook, facts.body, { deliveryId, attempt: request.number, retryable, sentAtMs: timestampMs });
  const headers = buildHeaders({
    eventId: toPublicId('event', facts.eventId),
    eventUuid: facts.eventId,
    deliveryId,
    deliveryUuid: request.deliveryId,
    webhookId: toPublicId('webhook', webhook.id),
    eventType: facts.eventType,
    attemptNumber: request.number,
    retryable,
    timestampSeconds: Math.floor(timestampMs / 1000),
    timestampMs,
    body: made.body,
    bodyHeaders: made.headers,
    secrets,
    styles: webhook.signatureStyles,
    signature,
    custom,
  });
  const toSend = {
    url: webhook.url,
    tenantId: facts.tenantId,
    headers,
    body: made.body,
    timeoutMs: webhook.timeoutMs,
    mayGo,
  };
  const result = await sender.send(toSend).catch((error: unknown) => {
    throw error instanceof NotSentError ? new StaleAttempt() : error;
  });
  const position = positionOf(facts, request, result.durationMs);
  const verdict = classify(toPostResult(result), policy, position);
  return {
    record: toRecord(facts, {
      ...{ request, headers: redactHeaders(headers, shown), sentAs: made.sentAs, result },
      ...{ next: toNext(verdict, position), path, holder },
    }),
    verdict,
  };
}
