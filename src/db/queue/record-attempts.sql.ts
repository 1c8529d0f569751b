import { OPERATIONAL_PREFIX } from '../../domain/event-types';
import { prepareStatement } from '../prepared-statement';
import { GATE_HEALTH } from './gate-health.sql';

export const recordStatement = prepareStatement(
  'record-attempts',
  { records: 'jsonb', first_delivery: 'uuid', last_delivery: 'uuid', per_webhook: 'int' },
  `
-- Writes attempts down, one per delivery, and moves their deliveries and gates on, all or none.
--
-- Parameters
--   :records          the attempts: a JSON array of objects with the members that are listed below
--   :first_delivery   the smallest of their deliveries' ids
--   :last_delivery    the largest of them
--   :per_webhook      how many attempts of one webhook this worker makes at once; where adaptive caps start
-- Reads     delivery_queue, lease_holders, webhook_gates, subscriptions
-- Writes    attempts, deliveries, delivery_queue, webhook_gates, operational_outbox
-- Locks     queue rows by delivery, then gates by webhook
-- Returns   one row
--   moved, logged, retry_requested, cancelled   arrays of deliveries
--   gates                                       JSON array of the gates that were disabled or whose breaker changed, or null
--   outbox_filled                               something is in the outbox

-- The attempts as they were made. What a member lacks is null.
with records as materialized (
  select * from jsonb_to_recordset(:records) as made(
    delivery_id uuid, tenant_id uuid, webhook_id uuid, id uuid, number int, trigger text, started_at timestamptz,
    duration_ms int, path text, outcome text, status_code int, error_code text, error_message text,
    error_details jsonb, request_headers jsonb, response_headers jsonb, response_body text, response_cut text,
    remote_address text, sent_as text, end_state text, because text,
    wait_ms float8, holder int, health text, timed_out boolean, slow_down boolean, retry_after_ms float8, gone boolean,
    url_changes int, at_least_ms float8)),

-- Those that count: their number is not counted yet, and nobody else who lives may be sending it.
-- end_state: how the delivery ends; null where it goes on. A cancel that was asked for ends it unless it was delivered. An
-- attempt that was asked for meanwhile (retry_requested) goes ahead of a failure; where that was the last one of the
-- schedule, the schedule starts anew.
effective as materialized (
  select made.delivery_id, made.tenant_id, made.webhook_id, made.number, made.trigger, made.path, made.started_at,
    made.duration_ms, made.status_code, made.error_code, made.wait_ms, made.health, made.timed_out, made.slow_down,
    made.retry_after_ms, made.gone, made.url_changes, made.at_least_ms, queued.event_type, queued.event_id,
    case when queued.cancel_asked and made.end_state is distinct from 'delivered' then 'cancelled'
      when queued.next_trigger = 'manual' and made.trigger <> 'manual' and made.end_state = 'failed' then null
      else made.end_state end end_state,
    case when not queued.cancel_asked then made.because end because, queued.cancel_asked,
    queued.event_type not like '${OPERATIONAL_PREFIX}%' as ordinary,
    queued.attempt_failed_at, queued.failed_at,
    made.trigger <> 'schedule' and queued.attempt_failed_at is not null as repeated,
    queued.next_trigger = 'manual' and made.trigger <> 'manual' as retry_requested,
    queued.next_trigger = 'manual' and made.trigger <> 'manual' and made.end_state = 'failed' as schedule_anew
  from (select * from records order by delivery_id) made cross join lateral (
    select attempt, event_type, event_id, trigger next_trigger, cancel_asked, holder, posting, attempt_failed_at, failed_at
    from delivery_queue
    where delivery_id = made.delivery_id for update) queued
  where queued.attempt < made.number
    and (queued.posting is null or (queued.holder = made.holder and queued.posting = made.number)
      or not holder_lives(queued.holder))),

-- The log: also of attempts that came late, unless another one is in flight under their number. Again is no harm.
logged as (
  insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome,
    status_code, error_code, error_message, error_details, request_headers, response_headers, response_body,
    response_cut, remote_address, sent_as)
  select delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome, status_code,
    error_code, error_message, error_details, request_headers, response_headers, decode(response_body, 'base64'),
    response_cut, remote_address, sent_as::json
  from records
  where delivery_id in (select delivery_id from effective) or not exists (
    select from delivery_queue queued
    where queued.delivery_id = records.delivery_id and queued.attempt < records.number)
  order by delivery_id, number on conflict do nothing returning delivery_id),

-- pending ──▶ delivered | failed | cancelled. Those that end alike are one list of ids, and the bounds name the partitions:
-- left to itself, the planner reads all that lies between two deliveries, however far apart they are.
ended as (
  update deliveries set state = same_end.end_state, attempt_count = same_end.number, ended_at = now(),
    failed_because = same_end.because, path = same_end.path,
    failed_at = case when same_end.end_state = 'failed' then now() end
  from (
    select end_state, number, because, path, array_agg(delivery_id) delivery_ids from effective
    where end_state is not null group by end_state, number, because, path) same_end
  where deliveries.id = any(same_end.delivery_ids)
    and deliveries.id between :first_delivery and :last_delivery
    and deliveries.id = any(array(select delivery_id from effective))),

-- in_progress ──▶ retrying, or pending where another attempt was asked for. Of that one's wait nothing changes.
waiting as (
  update delivery_queue queued set timed = not effective.retry_requested, attempt = effective.number,
    lease_until = 'epoch', holder = null, posting = null,
    trigger = case when effective.retry_requested then queued.trigger else 'schedule' end,
    asked_by = case when effective.retry_requested then queued.asked_by end,
    step = case when effective.schedule_anew then 0 else queued.step + (effective.wait_ms is not null)::int end,
    cycle_started_at = case when not effective.schedule_anew then
      coalesce(queued.cycle_started_at, now() - effective.duration_ms * interval '1 ms') end,
    next_attempt_at = case when effective.schedule_anew then null
      when effective.wait_ms is null then greatest(coalesce(queued.next_attempt_at, now()),
        now() + effective.at_least_ms * interval '1 ms')
      else now() + effective.wait_ms * interval '1 ms' end,
    attempt_failed_at = case when effective.health in ('bad', 'busy') then now() else queued.attempt_failed_at end
  from effective where queued.delivery_id = effective.delivery_id and effective.end_state is null),
${GATE_HEALTH},

-- What has ended leaves the queue.
dequeued as (
  delete from delivery_queue queued using effective
  where queued.delivery_id = effective.delivery_id and effective.end_state is not null)

select array(select delivery_id from effective) moved, array(select delivery_id from logged) logged,
  array(select delivery_id from effective where retry_requested and end_state is null) retry_requested,
  array(select delivery_id from effective where end_state = 'cancelled') cancelled,
  (select json_agg(json_build_object(
      'webhookId', webhook_id, 'disabledBecause', disabled_because, 'breaker', breaker_change))
    from decided where disabled_because is not null or breaker_change is not null) gates,
  exists (select from outbox) outbox_filled`,
);
