import { gateConditions } from './gate-conditions';

/** A receiver that asks for less without saying for how long: doubled with every failure in a row, to about a minute. */
const SLOW_DOWN_MS = 1_000;
const SLOW_DOWN_DOUBLINGS = 6;
/** A Retry-After holds the whole webhook up for this long at most: others of its deliveries may be welcome sooner. */
const MAX_SLOW_DOWN_MS = 3_600_000;
/** A failure so long ago says nothing about how the endpoint has been since: failing for long takes failures all along. */
const FORGOTTEN_AFTER = '1 day';

const { breakerIsOpen } = gateConditions('gate');

/**
 * The part of the recording statement (./record-attempts.sql.ts) that moves the gates. A gate row is written only where
 * something about it changes: a healthy endpoint costs no write.
 *
 * - Breaker: closed ──(threshold failures in a row within the window)──▶ open ──(open time)──▶ half-open; the probe's
 *   success closes it, its failure opens it anew. Any success closes it.
 * - Adaptive cap: starts from the cap that holds (the worker's, or the webhook's own if it is lower), is halved by a timeout
 *   (once by those that are recorded together), gets one more for each success, and is gone at the top.
 * - Throttling: 429, 502, 504 and Retry-After hold the whole webhook up for a while.
 * - Disabled: by 410, after so many failed deliveries in a row, or when nothing has succeeded for so long.
 * - Slot: released when its delivery has ended; the head of an ordered webhook keeps it while it waits for its retry.
 *
 * Operational events go into the outbox in the same statement; attempts to deliver operational events
 * (`ordinary` is false) write no event to the outbox, so that none of them causes another.
 */
export const GATE_HEALTH = `
-- Part of record-attempts, after its step "effective" (the attempts that count).
-- Parameters  :per_webhook
-- Reads       effective, webhook_gates, subscriptions
-- Writes      webhook_gates, operational_outbox
-- Adds        the steps "decided" (webhook_id, disabled_because, breaker_change) and "outbox"

-- What the attempts say of each webhook. A success is good; busy asks for less, and bad is any other failure.
health_signals as materialized (
  select webhook_id, (array_agg(tenant_id))[1] tenant_id, array_agg(delivery_id) delivery_ids,
    bool_or(ordinary) ordinary, bool_or(health = 'good') has_good, bool_or(health = 'bad') has_bad,
    (count(*) filter (where health in ('bad', 'busy')))::int bad_or_busy,
    bool_or(timed_out) timed_out, bool_or(slow_down) slow_down, max(retry_after_ms) retry_after_ms, bool_or(gone) gone,
    (count(*) filter (where end_state = 'failed'))::int failed_deliveries,
    coalesce(array_agg(delivery_id) filter (where end_state is null and not retry_requested), '{}') waiting_delivery_ids
  from effective group by webhook_id),

-- The gates that they change, locked: after any failure; after a success where there is something to forget; and where the
-- slot is one of these deliveries'.
affected as materialized (
  select health_signals.*, gate.status, gate.failures, gate.failures_since, gate.failing_since, gate.last_failure_at,
    gate.failed_in_a_row, gate.breaker_until, ${breakerIsOpen} breaker_is_open, gate.breaker_threshold,
    gate.breaker_open_ms, gate.disable_after_failed, gate.disable_after_ms,
    least(:per_webhook, gate.max_in_flight) usual_cap,
    gate.failures_since < now() - gate.breaker_window_ms * interval '1 ms' window_is_over
  from health_signals join webhook_gates gate using (webhook_id)
  where health_signals.bad_or_busy > 0 or health_signals.failed_deliveries > 0
    or gate.slot_delivery_id = any(health_signals.delivery_ids)
    or (health_signals.has_good and (gate.failures > 0 or gate.failing_since is not null or gate.failed_in_a_row > 0
      or gate.breaker_until is not null or gate.adaptive_cap is not null))
  order by gate.webhook_id for update of gate),

-- Failures in a row, and since when: of attempts within the breaker's window, and of deliveries.
counted as materialized (
  select affected.*,
    case when has_good then 0 when window_is_over then bad_or_busy else failures + bad_or_busy end new_failures,
    case when has_good then null when bad_or_busy = 0 then failures_since
      when failures = 0 or window_is_over then now() else failures_since end new_failures_since,
    case when has_good then null when bad_or_busy = 0 then failing_since
      when last_failure_at > now() - interval '${FORGOTTEN_AFTER}' then coalesce(failing_since, now())
      else now() end new_failing_since,
    case when has_good then 0 else failed_in_a_row + failed_deliveries end new_failed_in_a_row
  from affected),

-- What becomes of the breaker, and whether the webhook is disabled.
decided as materialized (
  select with_breaker.*,
    case when status <> 'active' then null when gone then 'gone'
      when new_failed_in_a_row >= disable_after_failed then 'failed_deliveries'
      when new_failing_since <= now() - disable_after_ms * interval '1 ms' then 'failing_too_long' end disabled_because,
    case when breaker_until is null and new_breaker_until is not null then 'opened'
      when breaker_until is not null and new_breaker_until is null then 'closed' end breaker_change
  from (select counted.*, case
      when has_good then null
      when bad_or_busy = 0 or breaker_is_open then breaker_until
      when breaker_until is not null or (new_failures >= breaker_threshold and has_bad)
        then now() + breaker_open_ms * interval '1 ms' end new_breaker_until
    from counted) with_breaker),

-- The one write of each gate.
gates as (
  update webhook_gates gate set
    failures = decided.new_failures, failures_since = decided.new_failures_since,
    failing_since = decided.new_failing_since,
    last_failure_at = case when decided.bad_or_busy > 0 then now() else gate.last_failure_at end,
    failed_in_a_row = decided.new_failed_in_a_row, breaker_until = decided.new_breaker_until,
    blocked_until = case when decided.slow_down then greatest(gate.blocked_until, now() + interval '1 ms' *
      least(${MAX_SLOW_DOWN_MS}, coalesce(decided.retry_after_ms,
        ${SLOW_DOWN_MS} * power(2, least(greatest(decided.new_failures, 1) - 1, ${SLOW_DOWN_DOUBLINGS})))))
      else gate.blocked_until end,
    adaptive_cap = case when decided.timed_out then greatest(1, least(gate.adaptive_cap, decided.usual_cap) / 2)
      when decided.has_good and gate.adaptive_cap + 1 < decided.usual_cap then gate.adaptive_cap + 1
      when decided.has_good then null else gate.adaptive_cap end,
    status = case when decided.disabled_because is null then gate.status else 'disabled' end,
    status_version = gate.status_version + (decided.disabled_because is not null)::int,
    status_reason = coalesce(decided.disabled_because, gate.status_reason),
    status_since = case when decided.disabled_because is null then gate.status_since else now() end,
    slot_until = case when gate.slot_delivery_id = any(decided.delivery_ids) is not true then gate.slot_until
      when gate.ordered and gate.slot_delivery_id = any(decided.waiting_delivery_ids) then 'infinity'
      else 'epoch' end,
    slot_delivery_id = case when gate.slot_delivery_id = any(decided.delivery_ids) and not
      (gate.ordered and gate.slot_delivery_id = any(decided.waiting_delivery_ids)) then null
      else gate.slot_delivery_id end
  from decided where gate.webhook_id = decided.webhook_id),

-- Operational events, where one of their webhooks listens to it.
outbox as (
  insert into operational_outbox (tenant_id, webhook_id, delivery_id, details, type)
  select tenant_id, webhook_id, delivery_id, details, type from (
    select tenant_id, webhook_id, delivery_id, ordinary,
      jsonb_build_object('event_id', event_id, 'event_type', event_type, 'failed_because', because,
        'attempt_count', number, 'status_code', status_code, 'error_code', error_code), 'posthorn.delivery.failed'
    from effective where end_state = 'failed'
    union all
    select tenant_id, webhook_id, null, ordinary, jsonb_build_object('reason', disabled_because),
      'posthorn.webhook.disabled'
    from decided where disabled_because is not null
    union all
    select tenant_id, webhook_id, null, ordinary, jsonb_build_object('failures_in_a_row', new_failures),
      'posthorn.webhook.failing'
    from decided where breaker_change = 'opened'
    union all
    select tenant_id, webhook_id, null, ordinary, '{}'::jsonb, 'posthorn.webhook.recovered'
    from decided where breaker_change = 'closed'
  ) event(tenant_id, webhook_id, delivery_id, ordinary, details, type)
  where ordinary and exists (
    select from subscriptions
    where subscriptions.tenant_id = event.tenant_id
      and subscriptions.pattern in ('posthorn.*', regexp_replace(event.type, '[^.]+$', '*'), event.type))
  returning 1)`;
