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
 * - Disabled: by 410, after so many failed deliveries in a row, or when nothing has succeeded for so long. Also while it is
 *   paused: what an attempt says counts in whatever state the gate is.
 * - Counts are of deliveries, so that nobody shuts a gate by sending one again and again: what an operator repeats (trigger `manual`
 *   or `replay`) adds to them only if its delivery is not in them. Whatever else it says counts as it does of any attempt.
 * - All of this belongs to a URL. With another one the gate begins anew (../store/gates.ts), and what was sent to the former
 *   one and ends later only releases its slot.
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

-- What the attempts say of each webhook. A success is good; busy asks for less, and bad is any other failure. Of a webhook
-- that was given another URL in between, only those count that went to the newest one.
health_signals as materialized (
  select webhook_id, (array_agg(tenant_id))[1] tenant_id, array_agg(delivery_id) delivery_ids,
    max(url_changes) url_changes, bool_or(ordinary) ordinary,
    bool_or(latest and health = 'good') has_good, bool_or(latest and health = 'bad') has_bad,
    (count(*) filter (where latest and failing))::int bad_or_busy,
    (count(*) filter (where latest and failing and not repeated))::int first_time,
    array_agg(attempt_failed_at) filter (where latest and failing and repeated) repeated_at,
    bool_or(latest and timed_out) timed_out, bool_or(latest and slow_down) slow_down,
    max(retry_after_ms) filter (where latest) retry_after_ms, bool_or(latest and gone) gone,
    (count(*) filter (where latest and end_state = 'failed' and failed_at is null))::int failed_first_time,
    array_agg(failed_at) filter (where latest and end_state = 'failed' and failed_at is not null) failed_again_at,
    coalesce(array_agg(delivery_id) filter (where end_state is null and not retry_requested), '{}') waiting_delivery_ids
  from (
    select *, health in ('bad', 'busy') failing,
      coalesce(url_changes >= max(url_changes) over (partition by webhook_id), true) latest from effective) made
  group by webhook_id),

-- The gates that they change, locked: after any failure; after a success where there is something to forget; and where the
-- slot is one of these deliveries'. What was sent to a URL that the webhook has no more says nothing of the one it has.
affected as materialized (
  select webhook_id, tenant_id, delivery_ids, waiting_delivery_ids, ordinary,
    to_its_url and has_good has_good, to_its_url and has_bad has_bad,
    case when to_its_url then bad_or_busy else 0 end bad_or_busy,
    case when to_its_url then first_time else 0 end first_time,
    case when to_its_url then repeated_at end repeated_at,
    to_its_url and timed_out timed_out, to_its_url and slow_down slow_down, retry_after_ms, to_its_url and gone gone,
    case when to_its_url then failed_first_time else 0 end failed_first_time,
    case when to_its_url then failed_again_at end failed_again_at,
    gate.status, gate.failures, gate.failures_since, gate.failing_since, gate.last_failure_at, gate.failed_in_a_row,
    gate.failed_since, gate.breaker_until, ${breakerIsOpen} breaker_is_open, gate.breaker_threshold,
    gate.breaker_open_ms, gate.disable_after_failed, gate.disable_after_ms,
    least(:per_webhook, gate.max_in_flight) usual_cap,
    coalesce(gate.failures_since < now() - gate.breaker_window_ms * interval '1 ms', false) window_is_over
  from health_signals join webhook_gates gate using (webhook_id)
  cross join lateral (select coalesce(health_signals.url_changes = gate.url_changes, true) to_its_url) sent
  where gate.slot_delivery_id = any(health_signals.delivery_ids)
    or (to_its_url and (bad_or_busy > 0 or failed_first_time > 0 or failed_again_at is not null
      or (has_good and (gate.failures > 0 or gate.failing_since is not null or gate.failed_in_a_row > 0
        or gate.breaker_until is not null or gate.adaptive_cap is not null))))
  order by gate.webhook_id for update of gate),

-- What is added to the counts. An operator's repetition is, where its delivery was not counted since the count began.
added as materialized (
  select affected.*,
    first_time + (select count(*) from unnest(repeated_at) counted_at
      where failures = 0 or window_is_over or counted_at < failures_since)::int failures_added,
    failed_first_time + (select count(*) from unnest(failed_again_at) counted_at
      where failed_in_a_row = 0 or counted_at < failed_since)::int failed_added
  from affected),

-- Failures in a row, and since when: of attempts within the breaker's window, and of deliveries.
counted as materialized (
  select added.*,
    case when has_good then 0 when window_is_over then failures_added else failures + failures_added end new_failures,
    case when has_good then null when failures_added = 0 then failures_since
      when failures = 0 or window_is_over then now() else failures_since end new_failures_since,
    case when has_good then null when first_time = 0 then failing_since
      when last_failure_at > now() - interval '${FORGOTTEN_AFTER}' then coalesce(failing_since, now())
      else now() end new_failing_since,
    case when has_good then 0 else failed_in_a_row + failed_added end new_failed_in_a_row,
    case when has_good then null when failed_in_a_row = 0 and failed_added > 0 then now() else failed_since end new_failed_since
  from added),

-- What becomes of the breaker, and whether the webhook is disabled.
decided as materialized (
  select with_breaker.*,
    case when status = 'disabled' then null when gone then 'gone'
      when new_failed_in_a_row >= disable_after_failed then 'failed_deliveries'
      when first_time > 0 and new_failing_since <= now() - disable_after_ms * interval '1 ms' then 'failing_too_long' end disabled_because,
    case when breaker_until is null and new_breaker_until is not null then 'opened'
      when breaker_until is not null and new_breaker_until is null then 'closed' end breaker_change
  from (select counted.*, case
      when has_good then null
      when bad_or_busy = 0 or breaker_is_open then breaker_until
      when breaker_until is not null or (failures_added > 0 and new_failures >= breaker_threshold and has_bad)
        then now() + breaker_open_ms * interval '1 ms' end new_breaker_until
    from counted) with_breaker),

-- The one write of each gate.
gates as (
  update webhook_gates gate set
    failures = decided.new_failures, failures_since = decided.new_failures_since,
    failing_since = decided.new_failing_since,
    last_failure_at = case when decided.first_time > 0 then now() else gate.last_failure_at end,
    failed_in_a_row = decided.new_failed_in_a_row, failed_since = decided.new_failed_since, breaker_until = decided.new_breaker_until,
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
