import { BREAKER_IS_OPEN } from './gate-conditions';

/** A receiver that asks for less without saying for how long: doubled with every failure in a row, to about a minute. */
const SLOW_DOWN_MS = 1_000;
const SLOW_DOWN_DOUBLINGS = 6;
/** A Retry-After holds the whole webhook up for this long at most: others of its deliveries may be welcome sooner. */
const MAX_SLOW_DOWN_MS = 3_600_000;
/** A failure so long ago says nothing about how the endpoint has been since: failing for long takes failures all along. */
const FORGOTTEN_AFTER = '1 day';

/**
 * The part of the recording statement that moves the gates, after `due` (the attempts that count, each with its sign);
 * `$4` is what a worker has of one webhook under way at most.
 * A gate row is written only where something about it changes: an endpoint that is well costs no write.
 *
 * - Breaker: closed ──(threshold failures in a row within the window)──▶ open ──(open time)──▶ half-open; the probe's
 *   success closes it, its failure opens it anew. Any success closes it.
 * - Adaptive cap: starts from the cap that holds (the worker's, or the webhook's own if it is lower), is halved by a timeout
 *   (once by those that are written down together), gets one more for each success, and is gone at the top.
 * - Throttling: 429, 502, 504 and Retry-After hold the whole webhook up for a while.
 * - Disabled: by 410, after so many failed deliveries in a row, or when nothing has succeeded for so long.
 * - Slot: given back when its delivery ended; the head of an ordered webhook keeps it while it waits for its retry.
 *
 * What operators are to be told goes into the outbox in the same statement; attempts to deliver operational events
 * (`ordinary` is false) tell of nothing, so that none of them causes another.
 */
export const GATE_HEALTH = `
signs as materialized (
  select webhook_id, (array_agg(tenant_id))[1] tenant_id, array_agg(delivery_id) ids, bool_or(ordinary) ordinary,
    bool_or(health = 'good') good, (count(*) filter (where health in ('bad', 'busy')))::int bad, bool_or(health = 'bad') broken, bool_or(timed_out) timed_out,
    bool_or(slow_down) slow_down, max(retry_after_ms) retry_after_ms, bool_or(gone) gone,
    (count(*) filter (where end_state = 'failed'))::int failed,
    coalesce(array_agg(delivery_id) filter (where end_state is null and not wanted), '{}') waiting_ids
  from due group by webhook_id),
gate as materialized (
  select s.*, g.status, g.failures, g.failures_since, g.failing_since, g.last_failure_at, g.failed_in_a_row, g.breaker_until, ${BREAKER_IS_OPEN} breaker_open,
    g.breaker_threshold, g.breaker_open_ms, g.disable_after_failed, g.disable_after_ms,
    least($4::int, g.max_in_flight) cap, g.failures_since < now() - g.breaker_window_ms * interval '1 ms' stale
  from signs s join webhook_gates g using (webhook_id)
  where s.bad > 0 or s.failed > 0 or g.slot_delivery_id = any(s.ids)
    or (s.good and (g.failures > 0 or g.failing_since is not null or g.failed_in_a_row > 0
      or g.breaker_until is not null or g.adaptive_cap is not null))
  order by g.webhook_id for update of g),
counted as materialized (
  select gate.*,
    case when good then 0 when stale then bad else failures + bad end new_failures,
    case when good then null when bad = 0 then failures_since when failures = 0 or stale then now()
      else failures_since end new_failures_since,
    case when good then null when bad = 0 then failing_since
      when last_failure_at > now() - interval '${FORGOTTEN_AFTER}' then coalesce(failing_since, now())
      else now() end new_failing_since,
    case when good then 0 else failed_in_a_row + failed end new_failed_in_a_row
  from gate),
healed as materialized (
  select c.*,
    case when status <> 'active' then null when gone then 'gone'
      when new_failed_in_a_row >= disable_after_failed then 'failed_deliveries'
      when new_failing_since <= now() - disable_after_ms * interval '1 ms' then 'failing_too_long' end disabled_because,
    case when breaker_until is null and new_breaker_until is not null then 'opened'
      when breaker_until is not null and new_breaker_until is null then 'closed' end change
  from (select counted.*, case
      when good then null
      when bad = 0 or breaker_open then breaker_until
      when breaker_until is not null or (new_failures >= breaker_threshold and broken)
        then now() + breaker_open_ms * interval '1 ms' end new_breaker_until
    from counted) c),
gates as (
  update webhook_gates g set
    failures = h.new_failures, failures_since = h.new_failures_since, failing_since = h.new_failing_since,
    last_failure_at = case when h.bad > 0 then now() else g.last_failure_at end,
    failed_in_a_row = h.new_failed_in_a_row, breaker_until = h.new_breaker_until,
    blocked_until = case when h.slow_down then greatest(g.blocked_until, now() + interval '1 ms' *
      least(${MAX_SLOW_DOWN_MS}, coalesce(h.retry_after_ms,
        ${SLOW_DOWN_MS} * power(2, least(greatest(h.new_failures, 1) - 1, ${SLOW_DOWN_DOUBLINGS}))))) else g.blocked_until end,
    adaptive_cap = case when h.timed_out then greatest(1, least(g.adaptive_cap, h.cap) / 2)
      when h.good and g.adaptive_cap + 1 < h.cap then g.adaptive_cap + 1
      when h.good then null else g.adaptive_cap end,
    status = case when h.disabled_because is null then g.status else 'disabled' end,
    moves = g.moves + (h.disabled_because is not null)::int,
    status_reason = coalesce(h.disabled_because, g.status_reason),
    status_since = case when h.disabled_because is null then g.status_since else now() end,
    slot_until = case when g.slot_delivery_id = any(h.ids) is not true then g.slot_until
      when g.ordered and g.slot_delivery_id = any(h.waiting_ids) then 'infinity' else 'epoch' end,
    slot_delivery_id = case when g.slot_delivery_id = any(h.ids) and not
      (g.ordered and g.slot_delivery_id = any(h.waiting_ids)) then null else g.slot_delivery_id end
  from healed h where g.webhook_id = h.webhook_id),
raised as (
  insert into operational_outbox (tenant_id, webhook_id, delivery_id, details, type)
  select tenant_id, webhook_id, delivery_id, details, type from (
    select tenant_id, webhook_id, delivery_id, ordinary,
      jsonb_build_object('event_id', event_id, 'event_type', event_type, 'failed_because', because,
        'attempt_count', number, 'status_code', status_code, 'error_code', error_code), 'posthorn.delivery.failed'
    from due where end_state = 'failed'
    union all
    select tenant_id, webhook_id, null, ordinary, jsonb_build_object('reason', disabled_because), 'posthorn.webhook.disabled'
    from healed where disabled_because is not null
    union all
    select tenant_id, webhook_id, null, ordinary, jsonb_build_object('failures_in_a_row', new_failures), 'posthorn.webhook.failing'
    from healed where change = 'opened'
    union all
    select tenant_id, webhook_id, null, ordinary, '{}'::jsonb, 'posthorn.webhook.recovered'
    from healed where change = 'closed'
  ) o(tenant_id, webhook_id, delivery_id, ordinary, details, type)
  where ordinary and exists (
    select from subscriptions s
    where s.tenant_id = o.tenant_id and s.pattern in ('posthorn.*', regexp_replace(o.type, '[^.]+$', '*'), o.type))
  returning 1)`;
