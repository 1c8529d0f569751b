import type { Pool } from 'pg';
import type { AttemptCause, BreakerState, EndState, Trigger, WebhookStatus } from '../../domain/delivery';
import { minimalBody } from '../../domain/minimal-payload';
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import type { SignatureStyle } from '../../domain/signature-styles';
import { loadStatement } from './load-attempt.sql';

/** Everything one attempt needs, read at every attempt so that configuration changes count from the next one on. */
export type AttemptContext = {
  tenantId: string;
  webhookId: string;
  eventId: string;
  eventType: string;
  state: 'pending' | EndState;
  body: Buffer;
  /** The queue row; absent once the delivery has ended. */
  queue?: {
    timed: boolean;
    /** It has a time for its next attempt, although an operator may have put it into the queue before that. */
    waits: boolean;
    remainingMs: number;
    attempt: number;
    step: number;
    /** Since the first attempt of the schedule that runs now, milliseconds. */
    elapsedMs: number;
    trigger: Trigger;
    /**
     * Who may be sending the next attempt: nobody, the express path of a live worker, or an attempt of a workflow at
     * another live one.
     */
    heldBy: 'nobody' | 'express' | 'other';
    /** Put into the queue, and claimed for a workflow or not; null where it waits, or an attempt is in flight. */
    inQueue: 'claimed' | 'free' | null;
    /** Nothing more is to be sent. */
    cancelAsked: boolean;
    /** An operator moved its time, which has not come. */
    movedAway: boolean;
    /** How often an operator has moved its time. */
    moves: number;
  };
  /** The number asked for is ours to send: nobody else does, as long as we live. */
  fenced: boolean;
  /** The outcome of this attempt number, where it was already made. */
  recorded?: { attemptId: string; outcome: string; statusCode: number | null; errorCode: string | null };
  /** Absent where the webhook was deleted. */
  webhook?: WebhookFacts & { gate: GateFacts };
};

/** What sending asks of a webhook. */
export type WebhookFacts = {
  id: string;
  url: string;
  timeoutMs: number;
  retryPolicy: StoredRetryPolicy;
  sealedSecrets: { id: string; sealed: string }[];
  signatureStyles: SignatureStyle[];
  sealedHeaders: string | null;
};

/** A webhook's gate, as an attempt finds it. */
export type GateFacts = {
  status: WebhookStatus;
  /** Its endpoint has yet to answer the challenge. */
  unverified: boolean;
  throttled: boolean;
  breaker: BreakerState;
  /** One at a time, or so many per time: an attempt has to take its slot or token first. */
  serial: boolean;
  /** This delivery is the one that may be under way. */
  hasSlot: boolean;
  /** The webhook's own cap of attempts under way, and a lower one found out by its timeouts. */
  maxInFlight: number | null;
};

type Row = {
  place: number;
  tenant_id: string;
  event_id: string;
  event_type: string;
  state: 'pending' | EndState;
  webhook_id: string;
  body: Buffer;
  minimal: boolean;
  key_fields: string[] | null;
  is_queued: boolean;
  held_by: 'nobody' | 'express' | 'other';
  in_queue: 'claimed' | 'free' | null;
  cancel_asked: boolean;
  moved_away: boolean;
  moves: number;
  fenced: boolean;
  timed: boolean;
  attempt: number;
  step: number;
  trigger: Trigger;
  remaining_ms: number | null;
  elapsed_ms: number | null;
  attempt_id: string | null;
  outcome: string | null;
  status_code: number | null;
  error_code: string | null;
  url: string | null;
  timeout_ms: number;
  retry_policy: StoredRetryPolicy;
  signature_styles: SignatureStyle[];
  sealed_headers: string | null;
  status: WebhookStatus | null;
  unverified: boolean;
  throttled: boolean;
  breaker: BreakerState;
  serial: boolean;
  has_slot: boolean;
  max_in_flight: number | null;
  secrets: { id: string; sealed: string }[] | null;
};

/** An attempt by its key, the delivery and the number that it would have. It is fenced for `fence`, if given. */
export type AttemptKey = {
  deliveryId: string;
  number: number;
  fence?: Fence;
};

export type Fence = { holder: number; cause: AttemptCause; moves?: number | undefined; again?: boolean };

/**
 * Loads what each of these attempts needs and fences it, in one statement; undefined where there is no such delivery.
 * The rest is returned as it stood just before: where `fenced` does not agree with it, someone came between.
 *
 * The fence: attempt `number` of a delivery is sent only by whom its row names, and the row names them here, where the
 * attempt is loaded. Not where another one that lives may be sending it, nor where it is not to be made now: it counts
 * already, waits for its time, or was cancelled. Not even where this process holds it, but for the attempt that does so and
 * looks `again`: one process may be asked for the same attempt twice.
 */
export async function loadAttempts(pool: Pool, keys: readonly AttemptKey[]): Promise<(AttemptContext | undefined)[]> {
  const { rows } = await pool.query<Row>(
    loadStatement({
      deliveries: keys.map(({ deliveryId }) => deliveryId),
      numbers: keys.map(({ number }) => number),
      holders: keys.map(({ fence }) => fence?.holder ?? null),
      causes: keys.map(({ fence }) => fence?.cause ?? null),
      moves: keys.map(({ fence }) => fence?.moves ?? 0),
      again: keys.map(({ fence }) => fence?.again ?? false),
    }),
  );
  const facts: (AttemptContext | undefined)[] = keys.map(() => undefined);
  for (const row of rows) facts[row.place - 1] = toContext(row);
  return facts;
}

/** The bytes that this delivery's receiver gets. */
export function bodyOf({ body, minimal, key_fields }: Pick<Row, 'body' | 'minimal' | 'key_fields'>): Buffer {
  return minimal ? minimalBody(body, key_fields ?? []) : body;
}

/** Where in its schedule a delivery stands, from its queue row. */
export const scheduleOf = (row: Pick<Row, 'remaining_ms' | 'attempt' | 'step' | 'elapsed_ms' | 'trigger'>) => ({
  waits: row.remaining_ms !== null,
  remainingMs: row.remaining_ms ?? 0,
  attempt: row.attempt,
  step: row.step,
  elapsedMs: row.elapsed_ms ?? 0,
  trigger: row.trigger,
});

function toContext(row: Row): AttemptContext {
  return {
    tenantId: row.tenant_id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    eventType: row.event_type,
    state: row.state,
    body: bodyOf(row),
    ...(row.is_queued && {
      queue: {
        timed: row.timed,
        ...scheduleOf(row),
        heldBy: row.held_by,
        inQueue: row.in_queue,
        cancelAsked: row.cancel_asked,
        movedAway: row.moved_away,
        moves: row.moves,
      },
    }),
    fenced: row.fenced,
    ...(row.attempt_id !== null &&
      row.outcome !== null && {
        recorded: {
          attemptId: row.attempt_id,
          outcome: row.outcome,
          statusCode: row.status_code,
          errorCode: row.error_code,
        },
      }),
    ...(row.url !== null &&
      row.status !== null && {
        webhook: {
          id: row.webhook_id,
          url: row.url,
          timeoutMs: row.timeout_ms,
          retryPolicy: row.retry_policy,
          sealedSecrets: row.secrets ?? [],
          signatureStyles: row.signature_styles,
          sealedHeaders: row.sealed_headers,
          gate: {
            status: row.status,
            unverified: row.unverified,
            throttled: row.throttled,
            breaker: row.breaker,
            serial: row.serial,
            hasSlot: row.has_slot,
            maxInFlight: row.max_in_flight,
          },
        },
      }),
  };
}
