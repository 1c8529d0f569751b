import type { Pool } from 'pg';
import type { HealthSignal } from '../../domain/classify';
import type { DisabledBecause, EndState, Trigger } from '../../domain/delivery';
import type { DeliveryPath } from '../../domain/delivery-mode';
import { OPERATIONAL_PREFIX } from '../../domain/event-types';
import { GATE_HEALTH } from './gate-health';

/** One attempt as it is written down. Bytes travel as base64 inside the one JSON parameter. */
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
  requestHeaders: Record<string, string>;
  responseHeaders: Record<string, string> | null;
  responseBody: Buffer | null;
  /** Why not all of the answer's body was read. */
  responseCut: string | null;
  remoteAddress: string | null;
  /** What it says about the endpoint. */
  healthSignal: HealthSignal;
  /** Under which id it was made; null where that is not known any more. */
  holder: number | null;
  /** What follows: the end, or a wait. */
  next: AttemptNext;
};

export type AttemptNext =
  | { kind: 'end'; state: EndState; because: string | null }
  /** Waits anew and uses up a step of the schedule. */
  | { kind: 'wait'; waitMs: number }
  /** Made by hand in the middle of a wait: the wait that was running goes on. */
  | { kind: 'keep_waiting' };

/**
 * The one place that moves a delivery on after an attempt:
 *
 *   in_progress ──▶ delivered | failed | cancelled   (queue row deleted, delivery ended)
 *   in_progress ──▶ retrying                         (queue row timed, with its next time)
 *   in_progress ──▶ cancelled                        (a cancel was asked for while it ran, and it did not succeed)
 *   in_progress ──▶ pending                          (another attempt was asked for while this one ran, the last one included)
 *
 * Queue rows are locked first and in id order, then gates in theirs, and the log is written in that order: concurrent
 * recorders cannot deadlock, and one that comes late (its row gone, or its number already counted) changes nothing but the
 * log; where another one is in flight under its number, at a worker that lives, not even that: the number is that one's.
 * Recording the same attempt again is harmless: an attempt's key is its delivery and number.
 * Deliveries are looked up by a list of ids (`any`), in the partitions that the smallest and the largest of them name:
 * left to itself, the planner reads everything between those two for each attempt, however far apart they are.
 * Of the attempt that someone asked for while another one ran, the wait of that one goes on (`next_attempt_at`); where that
 * was the last of the schedule, the schedule begins anew (`anew`).
 * What the attempts say about their webhooks is in ./gate-health.ts.
 */
const RECORD = {
  name: 'record-attempts',
  text: `
with r as materialized (
  select * from jsonb_to_recordset($1::jsonb) as x(
    delivery_id uuid, tenant_id uuid, webhook_id uuid, id uuid, number int, trigger text, started_at timestamptz,
    duration_ms int, path text, outcome text, status_code int, error_code text, error_message text, request_headers jsonb,
    response_headers jsonb, response_body text, response_cut text, remote_address text, end_state text, because text,
    wait_ms float8, holder int, health text, timed_out boolean, slow_down boolean, retry_after_ms float8, gone boolean)),
due as materialized (
  select w.delivery_id, w.tenant_id, w.webhook_id, w.number, w.trigger, w.path, w.started_at, w.duration_ms, w.status_code,
    w.error_code, w.wait_ms, w.health, w.timed_out, w.slow_down, w.retry_after_ms, w.gone, q.event_type, q.event_id,
    case when q.cancel_asked and w.end_state is distinct from 'delivered' then 'cancelled'
      when q.asked = 'manual' and w.trigger <> 'manual' and w.end_state = 'failed' then null else w.end_state end end_state,
    case when not q.cancel_asked then w.because end because, q.cancel_asked,
    q.event_type not like '${OPERATIONAL_PREFIX}%' as ordinary,
    q.asked = 'manual' and w.trigger <> 'manual' as wanted,
    q.asked = 'manual' and w.trigger <> 'manual' and w.end_state = 'failed' as anew
  from (select * from r order by delivery_id) w cross join lateral (
    select attempt, event_type, event_id, trigger asked, cancel_asked, holder, posting from delivery_queue
    where delivery_id = w.delivery_id for update) q
  where q.attempt < w.number
    and (q.posting is null or (q.holder = w.holder and q.posting = w.number) or not holder_lives(q.holder))),
logged as (
  insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome,
    status_code, error_code, error_message, request_headers, response_headers, response_body, response_cut,
    remote_address)
  select delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome, status_code,
    error_code, error_message, request_headers, response_headers, decode(response_body, 'base64'), response_cut,
    remote_address
  from r
  where delivery_id in (select delivery_id from due) or not exists (
    select from delivery_queue q where q.delivery_id = r.delivery_id and q.attempt < r.number)
  order by delivery_id, number on conflict do nothing returning delivery_id),
ended as (
  update deliveries d set state = alike.end_state, attempt_count = alike.number, ended_at = now(),
    failed_because = alike.because, path = alike.path,
    failed_at = case when alike.end_state = 'failed' then now() end
  from (
    select end_state, number, because, path, array_agg(delivery_id) ids from due where end_state is not null
    group by end_state, number, because, path) alike
  where d.id = any(alike.ids) and d.id between $2::uuid and $3::uuid and d.id = any(array(select delivery_id from due))),
waiting as (
  update delivery_queue q set timed = not due.wanted, attempt = due.number, lease_until = 'epoch', holder = null,
    posting = null,
    trigger = case when due.wanted then q.trigger else 'schedule' end,
    asked_by = case when due.wanted then q.asked_by end,
    step = case when due.anew then 0 else q.step + (due.wait_ms is not null)::int end,
    cycle_started_at = case when not due.anew then
      coalesce(q.cycle_started_at, now() - due.duration_ms * interval '1 ms') end,
    next_attempt_at = case when due.anew then null when due.wait_ms is null then coalesce(q.next_attempt_at, now())
      else now() + due.wait_ms * interval '1 ms' end
  from due where q.delivery_id = due.delivery_id and due.end_state is null),
${GATE_HEALTH},
gone as (
  delete from delivery_queue q using due
  where q.delivery_id = due.delivery_id and due.end_state is not null)
select array(select delivery_id from due) moved, array(select delivery_id from logged) logged,
  array(select delivery_id from due where wanted and end_state is null) wanted,
  array(select delivery_id from due where end_state = 'cancelled') cancelled,
  (select json_agg(json_build_object('webhookId', webhook_id, 'disabledBecause', disabled_because, 'breaker', change))
    from healed where disabled_because is not null or change is not null) gates,
  exists (select from raised) raised`,
};

export type Recorded = {
  /** The deliveries that were moved on; one that is missing had already ended or already counted this attempt. */
  moved: Set<string>;
  /** The deliveries whose attempt was not written down before. */
  logged: Set<string>;
  /** The deliveries that are claimable again, because someone asked for another attempt while this one ran. */
  wanted: Set<string>;
  /** The deliveries that ended because a cancel was asked for while the attempt ran. */
  cancelled: Set<string>;
  /** Gates that these attempts moved. */
  gates: GateChange[];
  /** Something is in the outbox of operational events. */
  raised: boolean;
};

export type GateChange = {
  webhookId: string;
  disabledBecause: DisabledBecause | null;
  breaker: 'opened' | 'closed' | null;
};

type Row = {
  moved: string[];
  logged: string[];
  wanted: string[];
  cancelled: string[];
  gates: GateChange[] | null;
  raised: boolean;
};

/**
 * Writes attempts down, one per delivery, and moves their deliveries and gates on, all or none. `perWebhook` is how many
 * attempts of one webhook this worker makes at once, at most: from there timeouts lower the webhook's own cap.
 */
export async function recordAttempts(
  pool: Pool,
  records: readonly AttemptRecord[],
  perWebhook: number,
): Promise<Recorded> {
  const ids = records.map((record) => record.deliveryId).sort();
  const { rows } = await pool.query<Row>({
    ...RECORD,
    values: [JSON.stringify(records.map(toRow)), ids[0], ids.at(-1), perWebhook],
  });
  const { moved, logged, wanted, cancelled, gates, raised } = rows[0]!;
  return {
    moved: new Set(moved),
    logged: new Set(logged),
    wanted: new Set(wanted),
    cancelled: new Set(cancelled),
    gates: gates ?? [],
    raised,
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
    request_headers: record.requestHeaders,
    response_headers: record.responseHeaders ?? undefined,
    response_body: record.responseBody?.toString('base64'),
    response_cut: record.responseCut ?? undefined,
    remote_address: record.remoteAddress ?? undefined,
    end_state: next.kind === 'end' ? next.state : undefined,
    because: next.kind === 'end' ? (next.because ?? undefined) : undefined,
    wait_ms: next.kind === 'wait' ? next.waitMs : undefined,
    holder: record.holder ?? undefined,
    health: healthSignal.health,
    timed_out: healthSignal.timedOut || undefined,
    slow_down: healthSignal.slowDown ? true : undefined,
    retry_after_ms: healthSignal.slowDown?.retryAfterMs,
    gone: healthSignal.gone || undefined,
  };
}
