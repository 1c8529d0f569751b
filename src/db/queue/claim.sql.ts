import { FIRST_CURSOR } from './claim-cursors';
import { gateConditions, LONGEST_LEASE } from './gate-conditions';
import { isDead, LIVE_HOLDERS } from './lease-holders';

/** What both claims have in common: ./claim-workflow.sql.ts and ./claim-express.sql.ts say what is returned. */

export const CLAIM_PARAMETERS = {
  priorities: 'smallint[]',
  tenant_cursors: 'uuid[]',
  scan: 'int',
  webhook_cursor_priorities: 'smallint[]',
  webhook_cursor_tenants: 'uuid[]',
  webhook_cursors: 'uuid[]',
  budget_webhooks: 'uuid[]',
  budget_taken: 'int[]',
  per_webhook: 'int',
  default_mode: 'text',
  modes: 'text[]',
  row_limit: 'int',
  free: 'int',
  level: 'int',
  holding_tenants: 'uuid[]',
  holding_rows: 'int[]',
  lease_ms: 'int',
  holder: 'int',
  is_express: 'boolean',
} as const;

const { arrivalTime, breakerIsOpen, slotIsTaken } = gateConditions('gate');

/**
 * The rows that may be claimed of the tenant `share`: its webhooks one after the other, of each up to its allowance.
 *
 * A row is free where no attempt of it is in flight at a worker that lives, whatever the clock says; one whose workflow
 * was started and has not begun its attempt is left alone for the time of its lease.
 */
const ROWS_OF_TENANT = `
    select free_row.delivery_id, free_row.seq, webhook.webhook_id, webhook.priority, webhook.priority_rank,
      webhook.allowance
    from unnest(share.webhook_ids, share.priorities, share.priority_ranks, share.ordered, share.heads, share.allowances)
      webhook(webhook_id, priority, priority_rank, ordered, head, allowance)
    cross join lateral (
      select delivery_id, seq from delivery_queue
      where not timed and priority = webhook.priority and tenant_id = share.tenant_id
        and webhook_id = webhook.webhook_id
        and case when posting is null
          then lease_until < now() or lease_until > now() + interval '${LONGEST_LEASE}'
          else ${isDead('holder')} end
      order by seq limit webhook.allowance for update skip locked) free_row
    where not webhook.ordered or free_row.seq = webhook.head`;

/** The oldest row of an ordered webhook among those that the condition names. */
const oldest = (condition: string) => `(select seq from delivery_queue
        where ${condition} and tenant_id = candidate.tenant_id and webhook_id = candidate.webhook_id
        order by seq limit 1)`;

/**
 * Takes work in one statement. It skip-scans the tenants of each priority that have any, then so many webhooks of each tenant,
 * drops those whose gate holds, and takes up to each one's allowance in publish order and leases them. Fair by tenant first,
 * then by webhook, by construction; and a gate that holds costs one index probe.
 *
 * Places are shared out as decision 33 says: the first round gives each tenant an equal part, as far as it holds less than
 * `level`; the second round gives what is left of `free` to those who want more, whoever holds least first. So a tenant alone
 * gets all there is.
 *
 * Webhooks that are ordered, rate-limited or half-open take their slot or tokens from the gate row, so that it holds across
 * processes. Tokens: GCRA, where `rate_next_at` is the theoretical arrival time. An ordered webhook gets its oldest row in any
 * priority or none; a half-open breaker lets one probe through. Priorities go in the order they are given, for each tenant
 * and between them; webhooks of a tenant in id order, because its next cursor is the last one served: out of order, those it
 * jumps over would starve behind full claims.
 *
 * The express path may send what it takes at any moment, so its claim says which attempt (`posting`); a workflow's attempt
 * says so when it begins.
 *
 * It waits for the disk: a claim that a crash of the server took with it would let another worker send what this one has
 * in flight.
 */
export const CLAIM_ROWS = `
-- Claims rows of the queue for a worker.
--
-- Parameters
--   :priorities, :tenant_cursors     the priorities to serve, the first one first; tenants after this id come first
--   :scan                            webhooks to look at, per priority
--   :webhook_cursor_priorities, :webhook_cursor_tenants, :webhook_cursors
--                                    of these tenants only webhooks after this id are looked at
--   :budget_webhooks, :budget_taken  what is taken of the cap of a webhook; below zero: more than its cap may be claimed
--   :per_webhook                     the cap of a webhook that has no lower one
--   :modes, :default_mode            webhooks in these modes; the mode of webhooks that have none
--   :row_limit                       rows to claim at most
--   :free, :level                    places that are free for all; how much a tenant may hold by the first round
--   :holding_tenants, :holding_rows  what tenants hold already
--   :lease_ms, :holder, :is_express  how long and for whom; the express path may send at once
-- Reads     delivery_queue, webhook_gates, lease_holders
-- Writes    delivery_queue, webhook_gates
-- Locks     gates that need a permit, then queue rows; skips what others have locked
-- Returns   the rows that were claimed, and how far the claim came in each priority

with recursive ${LIVE_HOLDERS},

-- The tenants that have work, by priority: from the cursor on, and round to it again. The 0th is the cursor itself.
tenants(priority, start, tenant_id, webhook_id, nth, wrapped) as (
  select tenant_cursor.priority, tenant_cursor.start, tenant_cursor.start, null::uuid, 0,
    tenant_cursor.start = '${FIRST_CURSOR}'
  from unnest(:priorities, :tenant_cursors) tenant_cursor(priority, start)
  union all
  select previous.priority, previous.start, next_tenant.tenant_id, next_tenant.webhook_id, previous.nth + 1,
    next_tenant.wrapped
  from tenants previous cross join lateral (
    (select queued.tenant_id, queued.webhook_id, previous.wrapped from delivery_queue queued
      where not queued.timed and queued.priority = previous.priority and queued.tenant_id > previous.tenant_id
      order by queued.tenant_id, queued.webhook_id limit 1)
    union all
    (select queued.tenant_id, queued.webhook_id, true from delivery_queue queued
      where not previous.wrapped and not queued.timed and queued.priority = previous.priority
      order by queued.tenant_id, queued.webhook_id limit 1)
    limit 1) next_tenant
  where previous.nth < :scan
    and (not next_tenant.wrapped or previous.start = '${FIRST_CURSOR}' or next_tenant.tenant_id <= previous.start)),

-- How many webhooks of each tenant are looked at, at most.
tenant_scans as materialized (
  select priority, greatest(1, :scan / max(nth)) most from tenants where nth > 0 group by priority),

-- The webhooks that have work, in id order from each tenant's cursor on.
ready(priority, tenant_id, webhook_id, nth, most) as (
  select tenants.priority, tenants.tenant_id,
    case when webhook_cursor.webhook_id is null then tenants.webhook_id else (
      select queued.webhook_id from delivery_queue queued
      where not queued.timed and queued.priority = tenants.priority and queued.tenant_id = tenants.tenant_id
        and queued.webhook_id > webhook_cursor.webhook_id
      order by queued.webhook_id limit 1) end, 1, tenant_scans.most
  from tenants join tenant_scans using (priority)
  left join unnest(:webhook_cursor_priorities, :webhook_cursor_tenants, :webhook_cursors)
    webhook_cursor(priority, tenant_id, webhook_id) using (priority, tenant_id)
  where tenants.nth > 0
  union all
  select previous.priority, previous.tenant_id, (select queued.webhook_id from delivery_queue queued
    where not queued.timed and queued.priority = previous.priority and queued.tenant_id = previous.tenant_id
      and queued.webhook_id > previous.webhook_id
    order by queued.webhook_id limit 1), previous.nth + 1, previous.most
  from ready previous where previous.webhook_id is not null and previous.nth < previous.most),

-- Those whose gate passes, and what may be claimed of each. One that needs a permit is looked at again with its gate locked.
passing as materialized (
  select ready.webhook_id, ready.tenant_id, ready.priority, array_position(:priorities, ready.priority) priority_rank,
    gate.ordered, gate.serial or gate.breaker_until is not null needs_permit, gate.rate_per_second is not null rate_limited, gate.url_changes,
    least(:per_webhook, gate.max_in_flight, gate.adaptive_cap) cap,
    greatest(0, least(:per_webhook, gate.max_in_flight, gate.adaptive_cap) - coalesce(budget.taken_of_cap, 0)) allowance
  from ready
  -- By its key, however few gates there were when this was planned.
  cross join lateral (select * from webhook_gates where webhook_id = ready.webhook_id limit 1) gate
  left join unnest(:budget_webhooks, :budget_taken) budget(webhook_id, taken_of_cap)
    on budget.webhook_id = ready.webhook_id
  where coalesce(gate.mode, :default_mode) = any(:modes)
    and gate.status = 'active' and not gate.unverified and gate.blocked_until <= now() and not ${breakerIsOpen}),

-- What ordered, rate-limited and half-open webhooks may be given: one at a time, or as many as there are tokens. Their gates
-- are locked. "head" is the oldest row of an ordered one, in any priority, timed or not.
permits as materialized (
  select gate.webhook_id, least(candidate.allowance,
    case when gate.ordered or gate.breaker_until is not null then 1 end,
    case when gate.rate_per_second is not null then least(gate.burst,
      floor(extract(epoch from now() - ${arrivalTime}) * gate.rate_per_second)) end)::int permitted,
    case when gate.ordered then least(
      ${oldest('not timed and priority = 0')},
      ${oldest('not timed and priority = 1')},
      ${oldest('not timed and priority = 2')},
      ${oldest('timed')}) end head
  from (select distinct tenant_id, webhook_id, allowance from passing where needs_permit) candidate
  join webhook_gates gate using (webhook_id)
  where not (${slotIsTaken} and (gate.ordered or gate.breaker_until is not null))
    and not ${breakerIsOpen}
    and (gate.rate_per_second is null or ${arrivalTime} <= now() - interval '1 s' / gate.rate_per_second)
  for update of gate skip locked),

-- A row for each tenant: its webhooks as arrays, in the order in which they are served, and its part of the places.
shares as materialized (
  select by_tenant.tenant_id, by_tenant.held, by_tenant.webhook_ids, by_tenant.priorities, by_tenant.priority_ranks,
    by_tenant.ordered, by_tenant.heads, by_tenant.allowances, by_tenant.first_rank,
    by_tenant.tenant_id <= (:tenant_cursors)[by_tenant.first_rank] behind_cursor,
    least(ceil(:row_limit::float8 / count(*) over ()), greatest(0, :level - by_tenant.held))::int quota
  from (
    select passing.tenant_id, min(passing.priority_rank) first_rank, coalesce(max(holding.held), 0) held,
      array_agg(passing.webhook_id order by passing.priority_rank, passing.webhook_id) webhook_ids,
      array_agg(passing.priority order by passing.priority_rank, passing.webhook_id) priorities,
      array_agg(passing.priority_rank order by passing.priority_rank, passing.webhook_id) priority_ranks,
      array_agg(passing.ordered order by passing.priority_rank, passing.webhook_id) ordered,
      array_agg(permits.head order by passing.priority_rank, passing.webhook_id) heads,
      array_agg(coalesce(permits.permitted, passing.allowance) order by passing.priority_rank, passing.webhook_id) allowances
    from passing left join permits using (webhook_id)
    left join unnest(:holding_tenants, :holding_rows) holding(tenant_id, held) using (tenant_id)
    where passing.allowance > 0 and (not passing.needs_permit or permits.permitted is not null)
    group by passing.tenant_id) by_tenant),

-- An equal part for each tenant.
first_round as materialized (
  select found.*, share.tenant_id
  from (select * from shares order by first_rank, behind_cursor, tenant_id) share
  cross join lateral (${ROWS_OF_TENANT} limit share.quota) found
  limit :row_limit),

-- What is left of the places, and the tenants that may have more rows than their part.
left_over as materialized (
  select greatest(0, least(:row_limit, :free) - (select count(*) from first_round))::int places),
unserved as materialized (
  select shares.*, coalesce(served.had, 0) had
  from shares left join (select tenant_id, count(*)::int had from first_round group by 1) served using (tenant_id)
  where coalesce(served.had, 0) = shares.quota or (select count(*) from first_round) = :row_limit),

-- What is left, for those who hold least.
second_round as materialized (
  select found.*, share.tenant_id
  from (select * from unserved order by held + had, behind_cursor, tenant_id) share
  cross join lateral (${ROWS_OF_TENANT} offset share.had) found
  limit (select places from left_over)),
locked as materialized (select * from first_round union all select * from second_round),

-- Tenants that may have more work than there are places for it.
cut_tenants as materialized (
  select tenant_id from unserved where (select count(*) from second_round) = (select places from left_over)),

-- A webhook may be in several priorities: it gets its allowance over all of them.
kept as materialized (
  select delivery_id, webhook_id from (
    select *, row_number() over (partition by webhook_id order by priority_rank, seq) nth_of_webhook from locked) numbered
  where nth_of_webhook <= allowance),

-- The slots and tokens of what is claimed.
permits_taken as (
  update webhook_gates gate set
    slot_delivery_id = case when gate.ordered or gate.breaker_until is not null then permitted_rows.delivery_ids[1]
      else gate.slot_delivery_id end,
    slot_until = case when gate.ordered or gate.breaker_until is not null then now() + :lease_ms * interval '1 ms'
      else gate.slot_until end,
    rate_next_at = case when gate.rate_per_second is null then gate.rate_next_at else
      greatest(${arrivalTime}, now() - gate.burst * interval '1 s' / gate.rate_per_second)
        + permitted_rows.row_count * interval '1 s' / gate.rate_per_second end
  from (select webhook_id, count(*) row_count, array_agg(delivery_id) delivery_ids from kept
    where webhook_id in (select webhook_id from permits) group by 1) permitted_rows
  where gate.webhook_id = permitted_rows.webhook_id
  returning gate.webhook_id, gate.rate_next_at),

-- pending ──▶ claimed
claimed as (
  update delivery_queue queued set lease_until = now() + :lease_ms * interval '1 ms', express = :is_express,
    holder = :holder, posting = case when :is_express then queued.attempt + 1 end,
    posted_beat = (select beats from lease_holders where id = :holder)
  where queued.delivery_id = any(array(select delivery_id from kept))
  returning queued.*)
`;

/**
 * How far the claim came, as the last columns of its result: in each priority, and there with tenants that it was not done
 * with. The columns are those of `PriorityRow` (./claim-cursors.ts).
 */
export const CLAIM_PROGRESS = `
  progress.priority, progress.of_tenant, progress.scanned, progress.most, progress.reached, progress.served, progress.cut,
  (select count(*) from locked)::int taken,
  (select min(extract(epoch from due_at - now()) * 1000) from (
    select coalesce(permits_taken.rate_next_at, ${arrivalTime}) + interval '1 s' / gate.rate_per_second as due_at
    from passing join webhook_gates gate using (webhook_id) left join permits_taken using (webhook_id)
    where gate.rate_per_second is not null) next_token where due_at > now())::float8 wait_ms
from (
  select last_tenant.priority, null::uuid of_tenant, last_tenant.nth scanned, :scan most, last_tenant.tenant_id reached,
    (select shares.tenant_id from shares
      where (:priorities)[shares.first_rank] = last_tenant.priority
        and shares.tenant_id = any(array(select first_round.tenant_id from first_round))
      order by shares.behind_cursor desc, shares.tenant_id desc limit 1) served,
    exists (select from cut_tenants) cut
  from (select distinct on (priority) * from tenants where nth > 0 order by priority, nth desc) last_tenant
  union all
  select last_webhook.priority, last_webhook.tenant_id, last_webhook.nth, last_webhook.most, last_webhook.webhook_id,
    (select locked.webhook_id from locked
      where locked.priority = last_webhook.priority and locked.tenant_id = last_webhook.tenant_id
      order by locked.webhook_id desc limit 1),
    last_webhook.tenant_id = any(array(select cut_tenants.tenant_id from cut_tenants))
  from (select distinct on (priority, tenant_id) * from ready where webhook_id is not null
    order by priority, tenant_id, nth desc) last_webhook
  where last_webhook.nth = last_webhook.most
    or last_webhook.tenant_id = any(array(select cut_tenants.tenant_id from cut_tenants))) progress`;

/** A row without {@link CLAIM_PROGRESS}. */
export const NO_PROGRESS = `null::smallint priority, null::uuid of_tenant, null::int scanned, null::int most,
  null::uuid reached, null::uuid served, null::boolean cut, null::int taken, null::float8 wait_ms`;
