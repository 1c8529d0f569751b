import type { Pool } from 'pg';
import type { FailedBecause, HealthSignal } from '../../domain/classify';
import type { DisabledBecause, EndState, Trigger } from '../../domain/delivery';
import type { DeliveryPath } from '../../domain/delivery-mode';
import type { SentAs } from '../../domain/sent-as';
import type { WebhookFacts } from './load-attempt';
import { recordStatement } from './record-attempts.sql';

/** One attempt as it is recorded. Bytes travel as base64 inside the one JSON parameter. */
export type AttemptRecord = {
  deliveryId: string;
  tenantId: string;
  webhookId: string;
  attemptId: string;
  number: number;
  trigger: Trigger;
  /** The path that made it. */
  path: DeliveryPath;
  startedAt: Date;
  durationMs: number;
  statusCode: number | null;
  errorCode: string | null;
  errorMessage: string | null;
  /** What is known beyond the code; as JSON. */
  errorDetails: AttemptErrorDetails | null;
  requestHeaders: Record<string, string>;
  responseHeaders: Record<string, string> | null;
  responseBody: Buffer | null;
  /** Why not all of the answer's body was read. */
  responseCut: string | null;
  remoteAddress: string | null;
  /** The URL that it went to, as {@link WebhookFacts} counts them; null where that is not known any more. */
  urlChanges: number | null;
  /** How its body was made; null where it was the event's own bytes. */
  sentAs: SentAs | null;
  /** What it says about the endpoint. */
  healthSignal: HealthSignal;
  /** Under which id it was made; null where that is not known any more. */
  holder: number | null;
  /** What follows: the end, or a wait. */
  next: AttemptNext;
};

/** Some of its members; the others are stored as they are. */
export type AttemptErrorDetails = { cause?: string; library_code?: string };

export type AttemptNext =
  | { kind: 'end'; state: EndState; because: FailedBecause | null }
  /** Waits anew and uses up a step of the schedule. */
  | { kind: 'wait'; waitMs: number }
  /** A manual attempt in the middle of a wait: the wait that was running goes on, for so long at least if the receiver asked for that. */
  | { kind: 'keep_waiting'; atLeastMs?: number };

export type Recorded = {
  /** The deliveries that were moved on; one that is missing had already ended or already counted this attempt. */
  moved: Set<string>;
  /** The deliveries whose attempt was not recorded before. */
  logged: Set<string>;
  /** The deliveries that are claimable again, because someone asked for another attempt while this one ran. */
  retryRequested: Set<string>;
  /** The deliveries that ended because a cancel was asked for while the attempt ran. */
  cancelled: Set<string>;
  /** Gates that these attempts moved. */
  gates: GateChange[];
  /** Something is in the outbox of operational events. */
  outboxFilled: boolean;
};

export type GateChange = {
  webhookId: string;
  disabledBecause: DisabledBecause | null;
  breaker: 'opened' | 'closed' | null;
};

type Row = {
  moved: string[];
  logged: string[];
  retry_requested: string[];
  cancelled: string[];
  gates: GateChange[] | null;
  outbox_filled: boolean;
};

/**
 * Writes attempts down, one per delivery, and moves their deliveries and gates on, all or none: the one place that moves a
 * delivery on after an attempt.
 *
 *   in_progress ──▶ delivered | failed | cancelled   (queue row deleted, delivery ended)
 *   in_progress ──▶ retrying                         (queue row timed, with its next time)
 *   in_progress ──▶ cancelled                        (a cancel was asked for while it ran, and it did not succeed)
 *   in_progress ──▶ pending                          (another attempt was asked for while this one ran, the last one included)
 *
 * Queue rows are locked first and in id order, then gates in theirs, and the log is written in that order: concurrent
 * recorders cannot deadlock, and one that comes late (its row gone, or its number already counted) changes nothing but the
 * log; where another one is in flight under its number, at a worker that lives, not even that: the number is that one's.
 * Recording the same attempt again is harmless: an attempt's key is its delivery and number. `perWebhook` is how many
 * attempts of one webhook this worker makes at once, at most: from there timeouts lower the webhook's own cap.
 */
export async function recordAttempts(
  pool: Pool,
  records: readonly AttemptRecord[],
  perWebhook: number,
): Promise<Recorded> {
  const ids = records.map((record) => record.deliveryId).sort();
  const { rows } = await pool.query<Row>(
    recordStatement({
      records: JSON.stringify(records.map(toRow)),
      first_delivery: ids[0]!,
      last_delivery: ids.at(-1)!,
      per_webhook: perWebhook,
    }),
  );
  const { moved, logged, retry_requested, cancelled, gates, outbox_filled } = rows[0]!;
  return {
    moved: new Set(moved),
    logged: new Set(logged),
    retryRequested: new Set(retry_requested),
    cancelled: new Set(cancelled),
    gates: gates ?? [],
    outboxFilled: outbox_filled,
  };
}

/**
 * Null goes without saying, and so does what is false: JSON leaves out what is undefined, and the server reads what is
 * missing as null. Every byte and every member costs here and there.
 */
function toRow(record: AttemptRecord) {
  const { next, healthSignal } = record;
  return {
    delivery_id: record.deliveryId,
    tenant_id: record.tenantId,
    webhook_id: record.webhookId,
    id: record.attemptId,
    number: record.number,
    trigger: record.trigger,
    path: record.path,
    started_at: record.startedAt,
    duration_ms: record.durationMs,
    outcome: next.kind === 'end' ? next.state : 'retry',
    status_code: record.statusCode ?? undefined,
    error_code: record.errorCode ?? undefined,
    error_message: record.errorMessage ?? undefined,
    error_details: record.errorDetails ?? undefined,
    request_headers: record.requestHeaders,
    response_headers: record.responseHeaders ?? undefined,
    response_body: record.responseBody?.toString('base64'),
    response_cut: record.responseCut ?? undefined,
    remote_address: record.remoteAddress ?? undefined,
    // A text: jsonb would not keep the order of its members.
    sent_as: record.sentAs ? JSON.stringify(record.sentAs) : undefined,
    end_state: next.kind === 'end' ? next.state : undefined,
    because: next.kind === 'end' ? (next.because ?? undefined) : undefined,
    wait_ms: next.kind === 'wait' ? next.waitMs : undefined,
    at_least_ms: next.kind === 'keep_waiting' ? next.atLeastMs : undefined,
    holder: record.holder ?? undefined,
    health: healthSignal.health,
    timed_out: healthSignal.timedOut || undefined,
    slow_down: healthSignal.slowDown ? true : undefined,
    retry_after_ms: healthSignal.slowDown?.retryAfterMs,
    gone: healthSignal.gone || undefined,
    url_changes: record.urlChanges ?? undefined,
  };
}
