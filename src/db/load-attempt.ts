import type { Pool } from 'pg';
import type { BreakerState, EndState, Trigger, WebhookStatus } from '../domain/delivery';
import { minimalBody } from '../domain/minimal-payload';
import type { StoredRetryPolicy } from '../domain/retry-schedule';
import type { SignatureStyle } from '../domain/signature-styles';
import { BREAKER_STATE } from './gates';

/** Everything one attempt needs, read at every attempt so that configuration changes count from the next one on. */
export type AttemptFacts = {
  tenantId: string;
  eventId: string;
  eventType: string;
  state: 'pending' | EndState;
  body: Buffer;
  /** The queue row; absent once the delivery has ended. */
  queue?: {
    timed: boolean;
    remainingMs: number;
    attempt: number;
    step: number;
    /** Since the first attempt of the schedule that runs now, milliseconds. */
    elapsedMs: number;
    trigger: Trigger;
    /** The express lane holds it: nobody else may attempt it. */
    express: boolean;
  };
  /** The outcome of this attempt number, where it was already made. */
  recorded?: { outcome: string; statusCode: number | null; errorCode: string | null };
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

/** SQL for the secrets that sign for the webhook `w` now, the newest one first. */
export const SEALED_SECRETS = `(select json_agg(json_build_object('id', s.id, 'sealed', s.sealed) order by s.created_at desc)
   from webhook_secrets s where s.webhook_id = w.id and (s.expires_at is null or s.expires_at > now()))`;

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

const LOAD = {
  name: 'load-attempt',
  text: `
select wanted.place::int, d.tenant_id, d.event_id, d.event_type, d.state, d.webhook_id, e.body,
  d.minimal, e.key_fields,
  q.delivery_id is not null as queued, q.express and q.lease_until > now() as express, q.timed, q.attempt, q.step, q.trigger,
  greatest(0, extract(epoch from q.next_attempt_at - now()) * 1000)::float8 as remaining_ms,
  a.outcome, a.status_code, a.error_code,
  greatest(0, extract(epoch from now() - q.cycle_started_at) * 1000)::float8 as elapsed_ms,
  w.url, w.timeout_ms, w.retry_policy, w.signature_styles, w.sealed_headers,
  g.status, g.unverified, g.blocked_until > now() as throttled, g.serial,
  ${BREAKER_STATE} as breaker,
  coalesce(g.slot_delivery_id = d.id, false) as has_slot, least(g.max_in_flight, g.adaptive_cap) as max_in_flight,
  ${SEALED_SECRETS} as secrets
from unnest($1::uuid[], $2::int[]) with ordinality wanted (delivery_id, number, place)
join deliveries d on d.id = wanted.delivery_id
join events e on e.id = d.event_id
left join attempts a on a.delivery_id = wanted.delivery_id and a.number = wanted.number
left join delivery_queue q on q.delivery_id = wanted.delivery_id
left join webhooks w on w.id = d.webhook_id and w.deleted_at is null
left join webhook_gates g on g.webhook_id = w.id`,
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
  queued: boolean;
  express: boolean;
  timed: boolean;
  attempt: number;
  step: number;
  trigger: Trigger;
  remaining_ms: number | null;
  elapsed_ms: number | null;
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

/** An attempt by its key: the delivery, and the number that it would have. */
export type AttemptKey = { deliveryId: string; number: number };

/** Loads what each of these attempts needs, in one query; undefined where there is no such delivery. */
export async function loadAttempts(pool: Pool, keys: readonly AttemptKey[]): Promise<(AttemptFacts | undefined)[]> {
  const { rows } = await pool.query<Row>({
    ...LOAD,
    values: [keys.map(({ deliveryId }) => deliveryId), keys.map(({ number }) => number)],
  });
  const facts: (AttemptFacts | undefined)[] = keys.map(() => undefined);
  for (const row of rows) facts[row.place - 1] = toFacts(row);
  return facts;
}

/** The bytes that this delivery's receiver gets. */
export function bodyOf({ body, minimal, key_fields }: Pick<Row, 'body' | 'minimal' | 'key_fields'>): Buffer {
  return minimal ? minimalBody(body, key_fields ?? []) : body;
}

function toFacts(row: Row): AttemptFacts {
  return {
    tenantId: row.tenant_id,
    eventId: row.event_id,
    eventType: row.event_type,
    state: row.state,
    body: bodyOf(row),
    ...(row.queued && {
      queue: {
        timed: row.timed,
        remainingMs: row.remaining_ms ?? 0,
        attempt: row.attempt,
        step: row.step,
        elapsedMs: row.elapsed_ms ?? 0,
        trigger: row.trigger,
        express: row.express,
      },
    }),
    ...(row.outcome !== null && {
      recorded: { outcome: row.outcome, statusCode: row.status_code, errorCode: row.error_code },
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
