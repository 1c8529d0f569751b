import type { AttemptContext } from '../db/queue/load-attempt';
import type { AttemptNext, AttemptRecord, GateChange } from '../db/queue/record-attempts';
import { askedPauseMs, healthSignalOf, type PostResult } from '../domain/classify';
import type { Trigger } from '../domain/delivery';
import type { DeliveryPath } from '../domain/delivery-mode';
import { newUuid, toPublicId } from '../domain/ids';
import type { SentAs } from '../domain/sent-as';
import type { SendResult } from '../egress/types';
import type { Log } from '../log';
import type { Sendable } from './sendable';
import type { AttemptRequest, AttemptSummary, UnrecordedAttempt } from './types';

/** An attempt in its forms: the attempt record, what the workflow keeps, the log line. */

/** Why this attempt is made: an operator's retry that the run was signalled, or what the row says. */
export function triggerOf(facts: Pick<AttemptContext, 'queue'>, { cause }: AttemptRequest): Trigger {
  return cause === 'manual' ? 'manual' : (facts.queue?.trigger ?? 'schedule');
}

export function toRecord(
  facts: Sendable,
  made: {
    request: AttemptRequest;
    /** As they may be shown. */
    headers: Record<string, string>;
    sentAs: SentAs | null;
    result: SendResult;
    next: AttemptNext;
    path: DeliveryPath;
    holder: number;
  },
): AttemptRecord {
  const { request, headers, sentAs, result, next, path, holder } = made;
  const response = result.kind === 'response' ? result : undefined;
  const error = result.kind === 'error' ? result : undefined;
  return {
    deliveryId: request.deliveryId,
    tenantId: facts.tenantId,
    webhookId: facts.webhook.id,
    attemptId: newUuid(),
    number: request.number,
    trigger: triggerOf(facts, request),
    path,
    startedAt: result.startedAt,
    durationMs: Math.round(result.durationMs),
    statusCode: response?.statusCode ?? null,
    errorCode: error?.code ?? null,
    errorMessage: error?.message ?? null,
    errorDetails: error?.details ?? null,
    requestHeaders: headers,
    responseHeaders: response?.headers ?? null,
    responseBody: response?.body ?? null,
    responseCut: response?.bodyCut ?? null,
    remoteAddress: result.remoteAddress,
    urlChanges: facts.webhook.urlChanges,
    sentAs,
    healthSignal: healthSignalOf(toPostResult(result)),
    holder,
    next,
  };
}

/** What came back, as the rules read it. */
export function toPostResult(result: SendResult): PostResult {
  if (result.kind === 'error') return { errorCode: result.code, blocked: result.stage === 'blocked' };
  const { statusCode, headers } = result;
  return { statusCode, retryAfterMs: askedPauseMs(statusCode, headers['retry-after'], Date.now()) };
}

/** The same of an attempt that is yet to be recorded. */
export function completedResult({ statusCode, errorCode, blocked, retryAfterMs }: UnrecordedAttempt): PostResult {
  if (statusCode !== undefined) return { statusCode, retryAfterMs };
  return { errorCode: errorCode ?? 'unknown', blocked: blocked === true };
}

export function toUnrecorded(record: AttemptRecord, request: AttemptRequest): UnrecordedAttempt {
  return {
    attemptId: record.attemptId,
    ...(record.holder !== null && { holder: record.holder }),
    ...(record.urlChanges !== null && { urlChanges: record.urlChanges }),
    deliveryId: record.deliveryId,
    number: record.number,
    cause: request.cause,
    trigger: record.trigger,
    startedAtMs: record.startedAt.getTime(),
    durationMs: record.durationMs,
    ...(record.statusCode !== null && { statusCode: record.statusCode }),
    ...(record.errorCode !== null && { errorCode: record.errorCode }),
    ...(record.sentAs !== null && { bodyMade: true }),
    ...(record.next.kind === 'end' && record.next.because === 'blocked' && { blocked: true }),
    ...(record.healthSignal.slowDown?.retryAfterMs !== undefined && {
      retryAfterMs: record.healthSignal.slowDown.retryAfterMs,
    }),
  };
}

export function fromUnrecorded(
  made: UnrecordedAttempt,
  facts: Pick<AttemptContext, 'tenantId' | 'webhookId'>,
): Omit<AttemptRecord, 'next'> {
  return {
    deliveryId: made.deliveryId,
    tenantId: facts.tenantId,
    webhookId: facts.webhookId,
    attemptId: made.attemptId ?? newUuid(),
    number: made.number,
    trigger: made.trigger,
    path: 'workflow',
    startedAt: new Date(made.startedAtMs),
    durationMs: made.durationMs,
    statusCode: made.statusCode ?? null,
    errorCode: made.errorCode ?? null,
    errorMessage: null,
    errorDetails: null,
    requestHeaders: {},
    responseHeaders: null,
    responseBody: null,
    responseCut: null,
    remoteAddress: null,
    urlChanges: made.urlChanges ?? null,
    sentAs: made.bodyMade ? 'unknown' : null,
    healthSignal: healthSignalOf(completedResult(made)),
    holder: made.holder ?? null,
  };
}

export function toSummary(record: AttemptRecord): AttemptSummary {
  return {
    number: record.number,
    ...(record.statusCode !== null && { statusCode: record.statusCode }),
    ...(record.errorCode !== null && { errorCode: record.errorCode }),
  };
}

/** The canonical line of an attempt. */
export function logAttempt(log: Log, record: AttemptRecord): void {
  log.info({
    event: 'attempt',
    delivery_id: toPublicId('delivery', record.deliveryId),
    webhook_id: toPublicId('webhook', record.webhookId),
    tenant_id: toPublicId('tenant', record.tenantId),
    number: record.number,
    trigger: record.trigger,
    status_code: record.statusCode,
    error_code: record.errorCode,
    error_cause: record.errorDetails?.cause ?? record.errorDetails?.library_code,
    duration_ms: record.durationMs,
    next: record.next.kind === 'end' ? record.next.state : 'retrying',
  });
}

/** Logs a change of a gate's state by an attempt. */
export function logGate(log: Log, { webhookId, disabledBecause, breaker }: GateChange): void {
  const webhook_id = toPublicId('webhook', webhookId);
  if (disabledBecause) log.warn({ event: 'webhook_disabled', webhook_id, reason: disabledBecause });
  if (breaker) log.info({ event: `breaker_${breaker}`, webhook_id });
}
