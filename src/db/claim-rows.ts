import type { DeliveryLane, FirstAttempt } from '../domain/first-attempt';
import { LANES } from '../domain/lanes';
import type { Turn } from './claim-cursors';
import { ARRIVAL_TIME, BREAKER_IS_OPEN, LONGEST_LEASE, SLOT_IS_TAKEN } from './gates';
import { isDead, LIVE_HOLDERS } from './lease-holders';

export type ClaimRequest = Turn & {
  /** Rows this process may hold of one webhook, at most; the webhook's own caps count as well. */
  perWebhook: number;
  /** Rows this process holds now, by webhook. */
  held: ReadonlyMap<string, number>;
  leaseMs: number;
  /** Under which id this process holds what it takes. */
  holder: number;
  /** The lane that takes the rows, and whose webhooks: those of these modes. */
  taker: Taker;
};

export type Taker = {
  lane: DeliveryLane;
  modes: readonly FirstAttempt[];
  /** The mode of webhooks that have none of their own. */
  installation: FirstAttempt;
};

/**
 * Takes work in one statement: skip-scans the webhooks of each lane that have any, drops those whose gate is shut, then
 * takes up to k rows of each in publish order and leases them. Fair per webhook by construction, and a shut gate costs
 * one index probe. A webhook may be in several lanes: `picked` keeps to its k over all of them.
 *
 * Webhooks that are ordered, rate-limited or half-open (`serial`) take their slot or tokens from the gate row, so that
 * it holds across processes. Tokens: GCRA, where `tat` is the theoretical arrival time. An ordered webhook gets its
 * oldest row in any lane or none; a half-open breaker lets one probe through. Lanes go in the order they are given and
 * webhooks in id order, because the next cursor is the last one served: out of order, those it jumps over would starve
 * behind full claims.
 *
 * Only webhooks whose attempts the taker makes are looked at.
 *
 * A row is free where no attempt of it is under way at a worker that lives, whatever the clock says; one whose workflow
 * was started and has not begun its attempt is left alone for the time of its lease. The express lane may send what it
 * takes at any moment, so its claim says which attempt (`posting`); a workflow's attempt says so when it begins.
 *
 * It waits for the disk: a claim that a crash of the server took with it would let another worker send what this one has
 * under way.
 */
export const CLAIM_ROWS = `
with recursive ${LIVE_HOLDERS},
ready(lane, webhook_id, n) as (
  select s.lane, (select q.webhook_id from delivery_queue q
    where not q.timed and q.lane = s.lane and q.webhook_id > s.cursor order by q.webhook_id limit 1), 1
  from unnest($1::smallint[], $2::uuid[]) s(lane, cursor)
  union all
  select r.lane, (select q.webhook_id from delivery_queue q
    where not q.timed and q.lane = r.lane and q.webhook_id > r.webhook_id order by q.webhook_id limit 1), r.n + 1
  from ready r where r.webhook_id is not null and r.n < $3::int),
open as materialized (
  select r.webhook_id, r.lane, array_position($1::smallint[], r.lane) rank, g.ordered,
    g.serial or g.breaker_until is not null serial, g.rate_per_second is not null paced,
    least($6::int, g.max_in_flight, g.adaptive_cap) cap,
    greatest(0, least($6::int, g.max_in_flight, g.adaptive_cap) - coalesce(m.held, 0)) k
  from ready r join webhook_gates g using (webhook_id)
  left join unnest($4::uuid[], $5::int[]) m(webhook_id, held) using (webhook_id)
  where coalesce(g.first_attempt, $9::text) = any($10::text[])
    and g.status = 'active' and not g.unverified and g.blocked_until <= now() and not ${BREAKER_IS_OPEN}),
serial as materialized (
  select g.webhook_id, least(o.k,
    case when g.ordered or g.breaker_until is not null then 1 end,
    case when g.rate_per_second is not null then least(g.burst,
      floor(extract(epoch from now() - ${ARRIVAL_TIME}) * g.rate_per_second)) end)::int k
  from (select distinct webhook_id, k from open where serial) o join webhook_gates g using (webhook_id)
  where not (${SLOT_IS_TAKEN} and (g.ordered or g.breaker_until is not null))
    and not ${BREAKER_IS_OPEN}
    and (g.rate_per_second is null or ${ARRIVAL_TIME} <= now() - interval '1 s' / g.rate_per_second)
  for update of g skip locked),
taken as materialized (
  select p.delivery_id, p.seq, o.webhook_id, o.lane, o.rank, o.k
  from (
    select c.webhook_id, c.lane, c.rank, c.ordered, coalesce(s.k, c.k) k
    from open c left join serial s using (webhook_id) where not c.serial or s.k is not null
    order by c.rank, c.webhook_id) o
  cross join lateral (
    select delivery_id, seq from delivery_queue
    where not timed and lane = o.lane and webhook_id = o.webhook_id and case when posting is null
      then lease_until < now() or lease_until > now() + interval '${LONGEST_LEASE}'
      else ${isDead('holder')} end
    order by seq limit o.k for update skip locked) p
  where not o.ordered or p.seq = least(${oldest('not timed and lane = 0')}, ${oldest('not timed and lane = 1')},
    ${oldest('not timed and lane = 2')}, ${oldest('timed')})
  limit $7::int),
picked as materialized (
  select delivery_id, webhook_id from (
    select *, row_number() over (partition by webhook_id order by rank, seq) nth from taken) t
  where nth <= k),
gate as (
  update webhook_gates g set
    slot_delivery_id = case when g.ordered or g.breaker_until is not null then p.ids[1] else g.slot_delivery_id end,
    slot_until = case when g.ordered or g.breaker_until is not null then now() + $8::int * interval '1 ms'
      else g.slot_until end,
    tat = case when g.rate_per_second is null then g.tat else
      greatest(${ARRIVAL_TIME}, now() - g.burst * interval '1 s' / g.rate_per_second) + p.n * interval '1 s' / g.rate_per_second end
  from (select webhook_id, count(*) n, array_agg(delivery_id) ids from picked
    where webhook_id in (select webhook_id from serial) group by 1) p
  where g.webhook_id = p.webhook_id
  returning g.webhook_id, g.tat),
claimed as (
  update delivery_queue q set lease_until = now() + $8::int * interval '1 ms', express = $11::boolean,
    holder = $12::int, posting = case when $11::boolean then q.attempt + 1 end,
    posted_beat = (select beats from lease_holders where id = $12::int)
  where q.delivery_id = any(array(select delivery_id from picked))
  returning q.*)`;

/** How far the claim came in each lane, as the last columns of its result. */
export const CLAIM_LANES = `
  s.lane, s.n scanned, s.webhook_id reached,
  (select t.webhook_id from taken t where t.lane = s.lane order by t.webhook_id desc limit 1) served,
  (select count(*) from taken)::int taken,
  (select min(extract(epoch from due_at - now()) * 1000) from (
    select coalesce(t.tat, ${ARRIVAL_TIME}) + interval '1 s' / g.rate_per_second as due_at
    from open o join webhook_gates g using (webhook_id) left join gate t using (webhook_id)
    where g.rate_per_second is not null) due where due_at > now())::float8 wait_ms
from (select distinct on (lane) * from ready where webhook_id is not null order by lane, n desc) s`;

/** The oldest row of an ordered webhook among those that the condition names. */
function oldest(condition: string): string {
  return `(select seq from delivery_queue where ${condition} and webhook_id = o.webhook_id order by seq limit 1)`;
}

/** The parameters of {@link CLAIM_ROWS}. */
export function claimValues({ taker, ...request }: ClaimRequest): unknown[] {
  return [
    request.lanes.map((lane) => LANES[lane]),
    request.lanes.map((lane) => request.cursors[lane]),
    request.scan,
    [...request.held.keys()],
    [...request.held.values()],
    request.perWebhook,
    request.limit,
    request.leaseMs,
    taker.installation,
    taker.modes,
    taker.lane === 'express',
    request.holder,
  ];
}
