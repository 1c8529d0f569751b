import type { Pool } from 'pg';
import type { AttemptCause, BreakerState, EndState, Trigger, WebhookStatus } from '../../domain/delivery';
import { LEASE_MS } from '../../domain/limits';
import { minimalBody } from '../../domain/minimal-payload';
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import type { SignatureStyle } from '../../domain/signature-styles';
import { BREAKER_STATE } from './gate-conditions';
import { isDead, LIVE_HOLDERS } from './lease-holders';

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

/** SQL for the secrets that sign for a webhook now, the newest one first. */
export const sealedSecretsOf = (
  webhook: string,
) => `(select json_agg(json_build_object('id', s.id, 'sealed', s.sealed) order by s.created_at desc)
   from webhook_secrets s where s.webhook_id = ${webhook}.id and (s.expires_at is null or s.expires_at > now()))`;

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

/** How much too early such an attempt may come, by the clock of the database. */
const TIMER_TOLERANCE = '1 second';

/** An operator moved the time of the queue row `q`, which this attempt does not know of, and it has not come. */
const MOVED_AWAY = `(w.cause = 'due' and q.timed and q.moves > w.moves
    and q.next_attempt_at > now() + interval '${TIMER_TOLERANCE}')`;

/** Row `q` is held by a worker that lives, for an attempt that may be under way. */
const HELD = `q.posting is not null and not ${isDead('q.holder')}`;
/** By the very attempt that loads it again: it has sent nothing. */
const OWN = '(w.again and q.holder = w.holder and q.posting = w.number and not q.express)';

/** SQL: how long the queue row waits yet, milliseconds; null where it has no time to wait for. (`greatest` ignores nulls.) */
export const remainingMs = (row: string) =>
  `(case when ${row}.next_attempt_at is not null
    then greatest(0, extract(epoch from ${row}.next_attempt_at - now()) * 1000) end)::float8`;

/**
 * The fence: attempt `number` of a delivery is sent only by whom its row names, and the row names them here, where the
 * attempt is loaded. Not where another one that lives may be sending it, nor where it is not to be made now: it counts
 * already, waits for its time, or was cancelled. Not even where this process holds it, but for the attempt that does so and
 * looks `again`: one process may be asked for the same attempt twice.
 *
 * Rows are locked in id order, like those of the record. It waits for the disk, see the claim.
 */
const LOAD = {
  name: 'load-attempt',
  text: `
with ${LIVE_HOLDERS},
wanted as materialized (
  select w.* from unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::int[], $6::boolean[]) with ordinality w
    (delivery_id, number, holder, cause, moves, again, place)),
free as materialized (
  select f.delivery_id, w.number, w.holder
  from (select * from wanted where holder is not null order by delivery_id) w cross join lateral (
    select q.delivery_id from delivery_queue q
    where q.delivery_id = w.delivery_id and q.attempt = w.number - 1 and not q.cancel_asked
      and not (q.timed and w.cause = 'claimed') and not ${MOVED_AWAY}
      and not (${HELD} and not ${OWN})
    for update) f),
fenced as (
  update delivery_queue q set holder = free.holder, posting = free.number, express = false,
    lease_until = now() + ${LEASE_MS} * interval '1 ms',
    posted_beat = (select beats from lease_holders h where h.id = free.holder)
  from free where q.delivery_id = free.delivery_id
  returning q.delivery_id)
select w.place::int, d.tenant_id, d.event_id, d.event_type, d.state, d.webhook_id, e.body,
  d.minimal, e.key_fields,
  q.delivery_id is not null as queued,
  case when (${HELD} and not ${OWN}) is not true then 'nobody' when q.express then 'express' else 'other' end as held_by, q.cancel_asked, coalesce(${MOVED_AWAY}, false) as moved_away, q.moves,
  exists (select from fenced f where f.delivery_id = d.id) as fenced, q.timed, q.attempt, q.step, q.trigger,
  ${remainingMs('q')} as remaining_ms,
  a.id as attempt_id, a.outcome, a.status_code, a.error_code,
  greatest(0, extract(epoch from now() - q.cycle_started_at) * 1000)::float8 as elapsed_ms,
  h.url, h.timeout_ms, h.retry_policy, h.signature_styles, h.sealed_headers,
  g.status, g.unverified, g.blocked_until > now() as throttled, g.serial,
  ${BREAKER_STATE} as breaker,
  coalesce(g.slot_delivery_id = d.id, false) as has_slot, least(g.max_in_flight, g.adaptive_cap) as max_in_flight,
  ${sealedSecretsOf('h')} as secrets
from wanted w
join deliveries d on d.id = w.delivery_id
join events e on e.id = d.event_id
left join attempts a on a.delivery_id = w.delivery_id and a.number = w.number
left join delivery_queue q on q.delivery_id = w.delivery_id
left join webhooks h on h.id = d.webhook_id and h.deleted_at is null
left join webhook_gates g on g.webhook_id = h.id`,
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
  held_by: 'nobody' | 'express' | 'other';
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
 * The rest is told as it stood just before: where `fenced` does not agree with it, someone came between.
 */
export async function loadAttempts(pool: Pool, keys: readonly AttemptKey[]): Promise<(AttemptContext | undefined)[]> {
  const { rows } = await pool.query<Row>({
    ...LOAD,
    values: [
      keys.map(({ deliveryId }) => deliveryId),
      keys.map(({ number }) => number),
      keys.map(({ fence }) => fence?.holder ?? null),
      keys.map(({ fence }) => fence?.cause ?? null),
      keys.map(({ fence }) => fence?.moves ?? 0),
      keys.map(({ fence }) => fence?.again ?? false),
    ],
  });
  const facts: (AttemptContext | undefined)[] = keys.map(() => undefined);
  for (const row of rows) facts[row.place - 1] = toContext(row);
  return facts;
}

/** The bytes that this delivery's receiver gets. */
export function bodyOf({ body, minimal, key_fields }: Pick<Row, 'body' | 'minimal' | 'key_fields'>): Buffer {
  return minimal ? minimalBody(body, key_fields ?? []) : body;
}

function toContext(row: Row): AttemptContext {
  return {
    tenantId: row.tenant_id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    eventType: row.event_type,
    state: row.state,
    body: bodyOf(row),
    ...(row.queued && {
      queue: {
        timed: row.timed,
        waits: row.remaining_ms !== null,
        remainingMs: row.remaining_ms ?? 0,
        attempt: row.attempt,
        step: row.step,
        elapsedMs: row.elapsed_ms ?? 0,
        trigger: row.trigger,
        heldBy: row.held_by,
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
