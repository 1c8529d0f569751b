import { LEASE_MS } from '../../domain/limits';
import { prepareStatement } from '../prepared-statement';
import { gateConditions } from './gate-conditions';
import { isDead, LIVE_HOLDERS } from './lease-holders';

/** An operator moved the time of the queue row, which this request does not know of, and it has not come. */
const MOVED_AWAY = `(request.cause = 'due' and queued.timed and queued.moves > request.moves and queued.next_attempt_at > now())`;

/** The queue row is held by a worker that lives, for an attempt that may be in flight. */
const HELD = `queued.posting is not null and not ${isDead('queued.holder')}`;
/** By the very attempt that loads it again: it has sent nothing. */
const OWN = `(request.again and queued.holder = request.holder and queued.posting = request.number
    and not queued.express)`;
const HELD_BY_OTHERS = `(${HELD} and not ${OWN})`;

/**
 * SQL for the secrets that sign for a webhook now, the newest one first. `switched`: also for the styles that carry one
 * signature, as far as there is no newer one of which that is true.
 */
export const sealedSecretsOf = (webhook: string) => `(select json_agg(json_build_object('id', s.id, 'sealed', s.sealed,
     'switched', s.switch_at is null or s.switch_at <= now()) order by s.created_at desc)
   from webhook_secrets s where s.webhook_id = ${webhook}.id and (s.expires_at is null or s.expires_at > now()))`;

/** SQL: how long the queue row waits yet, milliseconds; null where it has no time to wait for. (`greatest` ignores nulls.) */
export const remainingMs = (row: string) =>
  `(case when ${row}.next_attempt_at is not null
    then greatest(0, extract(epoch from ${row}.next_attempt_at - now()) * 1000) end)::float8`;

/** SQL: how long ago the first attempt of the schedule that runs now was made, milliseconds. */
export const elapsedMs = (row: string) =>
  `greatest(0, extract(epoch from now() - ${row}.cycle_started_at) * 1000)::float8`;

/** SQL: whether a queue row was claimed for a workflow ('claimed') or not ('free'); null where it waits or is in flight. */
export const inQueue = (row: string) =>
  `case when not ${row}.timed and ${row}.posting is null
    then case when ${row}.lease_until > now() then 'claimed' else 'free' end end`;

export const loadStatement = prepareStatement(
  'load-attempt',
  { deliveries: 'uuid[]', numbers: 'int[]', holders: 'int[]', causes: 'text[]', moves: 'int[]', again: 'boolean[]' },
  `
-- Loads what attempts need, and fences those that may be made: their queue rows say who makes them.
--
-- Parameters, a place of each for every attempt
--   :deliveries, :numbers   which attempt
--   :holders                whom it is fenced for; null: only loaded
--   :causes                 why it comes now
--   :moves                  how often its time was moved, as far as whoever asks knows
--   :again                  the same attempt has loaded and fenced it before
-- Reads     delivery_queue, lease_holders, deliveries, events, attempts, webhooks, webhook_gates, webhook_secrets
-- Writes    delivery_queue
-- Locks     queue rows by delivery, like the recording statement
-- Returns   a row for each delivery that exists, in no order; "place" is its place in the parameters, from 1

with ${LIVE_HOLDERS},

-- What is asked for, a row each.
requests as materialized (
  select request.* from unnest(:deliveries, :numbers, :holders, :causes, :moves, :again) with ordinality request
    (delivery_id, number, holder, cause, moves, again, place)),

-- Those that may be made now: the next number, not cancelled, its time has come, and nobody else may be sending it.
fenceable as materialized (
  select locked.delivery_id, request.number, request.holder
  from (select * from requests where holder is not null order by delivery_id) request cross join lateral (
    select queued.delivery_id from delivery_queue queued
    where queued.delivery_id = request.delivery_id and queued.attempt = request.number - 1 and not queued.cancel_asked
      and not (queued.timed and request.cause = 'claimed') and not ${MOVED_AWAY}
      and not ${HELD_BY_OTHERS}
    for update) locked),

-- The fence. It waits for the disk, as the claim does.
fences as (
  update delivery_queue queued set holder = fenceable.holder, posting = fenceable.number, express = false,
    lease_until = now() + ${LEASE_MS} * interval '1 ms',
    posted_beat = (select beats from lease_holders where lease_holders.id = fenceable.holder)
  from fenceable where queued.delivery_id = fenceable.delivery_id
  returning queued.delivery_id)

-- All that the attempt needs, as it stood before the fence.
select request.place::int, deliveries.tenant_id, deliveries.event_id, deliveries.event_type, deliveries.state,
  deliveries.webhook_id, deliveries.minimal, events.body, events.key_fields,
  queued.delivery_id is not null as is_queued, queued.cancel_asked, queued.moves, queued.timed, queued.attempt, queued.step,
  queued.trigger,
  case when ${HELD_BY_OTHERS} is not true then 'nobody' when queued.express then 'express' else 'other' end as held_by,
  ${inQueue('queued')} as in_queue,
  coalesce(${MOVED_AWAY}, false) as moved_away,
  exists (select from fences where fences.delivery_id = deliveries.id) as fenced,
  ${remainingMs('queued')} as remaining_ms,
  ${elapsedMs('queued')} as elapsed_ms,
  attempts.id as attempt_id, attempts.outcome, attempts.status_code, attempts.error_code,
  webhooks.url, webhooks.timeout_ms, webhooks.retry_policy, webhooks.signature_styles, webhooks.signature,
  webhooks.sealed_headers, webhooks.body_format, webhooks.envelope,
  gate.status, gate.unverified, gate.blocked_until > now() as throttled, gate.serial, gate.url_changes,
  ${gateConditions('gate').breakerState} as breaker,
  coalesce(gate.slot_delivery_id = deliveries.id, false) as has_slot,
  least(gate.max_in_flight, gate.adaptive_cap) as max_in_flight,
  ${sealedSecretsOf('webhooks')} as secrets
from requests request
join deliveries on deliveries.id = request.delivery_id
join events on events.id = deliveries.event_id
left join attempts on attempts.delivery_id = request.delivery_id and attempts.number = request.number
left join delivery_queue queued on queued.delivery_id = request.delivery_id
left join webhooks on webhooks.id = deliveries.webhook_id and webhooks.deleted_at is null
left join webhook_gates gate on gate.webhook_id = webhooks.id`,
);
