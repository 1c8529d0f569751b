import type { TenantRoom } from '../../concurrency/tenant-slots';
import type { DeliveryMode, DeliveryPath } from '../../domain/delivery-mode';
import { PRIORITIES } from '../../domain/priorities';
import { type ClaimBudget, takenByWebhook } from './claim-budget';
import { FIRST_CURSOR, type Turn } from './claim-cursors';
import { ARRIVAL_TIME, BREAKER_IS_OPEN, LONGEST_LEASE, SLOT_IS_TAKEN } from './gate-conditions';
import { isDead, LIVE_HOLDERS } from './lease-holders';

export type ClaimRequest = Turn & {
  /** Rows this process may hold of one webhook, at most; the webhook's own caps count as well. */
  perWebhook: number;
  /** What of it is taken, by webhook. */
  budget: ClaimBudget;
  /** What of the limit is for whom. */
  room: TenantRoom;
  leaseMs: number;
  /** Under which id this process holds what it takes. */
  holder: number;
  claimant: Claimant;
};

/** For which path the rows are claimed, and of which webhooks: those in one of these modes. */
export type Claimant = {
  path: DeliveryPath;
  modes: readonly DeliveryMode[];
  /** The mode of webhooks that have none of their own. */
  defaultMode: DeliveryMode;
};

/** What may be taken of the tenant `t`: its webhooks one after the other, of each up to k rows. */
const ROWS_OF_TENANT = `
    select r.delivery_id, r.seq, o.webhook_id, o.priority, o.rank, o.k
    from unnest(t.webhooks, t.priorities, t.ranks, t.ordered, t.heads, t.ks) o(webhook_id, priority, rank, ordered, head, k)
    cross join lateral (
      select delivery_id, seq from delivery_queue
      where not timed and priority = o.priority and tenant_id = t.tenant_id and webhook_id = o.webhook_id
        and case when posting is null
          then lease_until < now() or lease_until > now() + interval '${LONGEST_LEASE}'
          else ${isDead('holder')} end
      order by seq limit o.k for update skip locked) r
    where not o.ordered or r.seq = o.head`;

/**
 * Takes work in one statement. It skip-scans the tenants of each priority that have any, then so many webhooks of each tenant,
 * drops those whose gate is shut, and takes up to k rows of each in publish order and leases them. Fair by tenant first,
 * then by webhook, by construction; and a shut gate costs one index probe. A webhook may be in several priorities: `picked`
 * keeps to its k over all of them.
 *
 * Slots are shared out as decision 33 says: `first` gives each tenant an equal part, as far as it holds less than `level`;
 * `rest` gives what is left of `free` to those who want more, whoever holds least first. So a tenant alone gets all there is.
 *
 * Webhooks that are ordered, rate-limited or half-open (`serial`) take their slot or tokens from the gate row, so that
 * it holds across processes. Tokens: GCRA, where `tat` is the theoretical arrival time. An ordered webhook gets its
 * oldest row in any priority or none; a half-open breaker lets one probe through. Priorities go in the order they are given, for
 * each tenant and between them; webhooks of a tenant in id order, because its next cursor is the last one served: out of
 * order, those it jumps over would starve behind full claims.
 *
 * Only webhooks whose attempts the taker makes are looked at.
 *
 * A row is free where no attempt of it is under way at a worker that lives, whatever the clock says; one whose workflow
 * was started and has not begun its attempt is left alone for the time of its lease. The express path may send what it
 * takes at any moment, so its claim says which attempt (`posting`); a workflow's attempt says so when it begins.
 *
 * It waits for the disk: a claim that a crash of the server took with it would let another worker send what this one has
 * under way.
 */
export const CLAIM_ROWS = `
with recursive ${LIVE_HOLDERS},
tenants(priority, start, tenant_id, webhook_id, n, wrapped) as (
  select s.priority, s.start, s.start, null::uuid, 0, s.start = '${FIRST_CURSOR}'
  from unnest($1::smallint[], $2::uuid[]) s(priority, start)
  union all
  select t.priority, t.start, o.tenant_id, o.webhook_id, t.n + 1, o.wrapped
  from tenants t cross join lateral (
    (select q.tenant_id, q.webhook_id, t.wrapped from delivery_queue q
      where not q.timed and q.priority = t.priority and q.tenant_id > t.tenant_id
      order by q.tenant_id, q.webhook_id limit 1)
    union all
    (select q.tenant_id, q.webhook_id, true from delivery_queue q
      where not t.wrapped and not q.timed and q.priority = t.priority
      order by q.tenant_id, q.webhook_id limit 1)
    limit 1) o
  where t.n < $3::int and (not o.wrapped or t.start = '${FIRST_CURSOR}' or o.tenant_id <= t.start)),
looks as materialized (
  select priority, greatest(1, $3::int / max(n)) most from tenants where n > 0 group by priority),
ready(priority, tenant_id, webhook_id, n, most) as (
  select t.priority, t.tenant_id, case when c.webhook_id is null then t.webhook_id else (
    select q.webhook_id from delivery_queue q
    where not q.timed and q.priority = t.priority and q.tenant_id = t.tenant_id and q.webhook_id > c.webhook_id
    order by q.webhook_id limit 1) end, 1, l.most
  from tenants t join looks l using (priority)
  left join unnest($13::smallint[], $14::uuid[], $15::uuid[]) c(priority, tenant_id, webhook_id) using (priority, tenant_id)
  where t.n > 0
  union all
  select r.priority, r.tenant_id, (select q.webhook_id from delivery_queue q
    where not q.timed and q.priority = r.priority and q.tenant_id = r.tenant_id and q.webhook_id > r.webhook_id
    order by q.webhook_id limit 1), r.n + 1, r.most
  from ready r where r.webhook_id is not null and r.n < r.most),
open as materialized (
  select r.webhook_id, r.tenant_id, r.priority, array_position($1::smallint[], r.priority) rank, g.ordered,
    g.serial or g.breaker_until is not null serial, g.rate_per_second is not null paced,
    least($6::int, g.max_in_flight, g.adaptive_cap) cap,
    greatest(0, least($6::int, g.max_in_flight, g.adaptive_cap) - coalesce(m.held, 0)) k
  from ready r
  -- By its key, however few gates there were when this was planned.
  cross join lateral (select * from webhook_gates where webhook_id = r.webhook_id limit 1) g
  left join unnest($4::uuid[], $5::int[]) m(webhook_id, held) on m.webhook_id = r.webhook_id
  where coalesce(g.mode, $9::text) = any($10::text[])
    and g.status = 'active' and not g.unverified and g.blocked_until <= now() and not ${BREAKER_IS_OPEN}),
serial as materialized (
  select g.webhook_id, least(o.k,
    case when g.ordered or g.breaker_until is not null then 1 end,
    case when g.rate_per_second is not null then least(g.burst,
      floor(extract(epoch from now() - ${ARRIVAL_TIME}) * g.rate_per_second)) end)::int k,
    case when g.ordered then least(${oldest('not timed and priority = 0')}, ${oldest('not timed and priority = 1')},
      ${oldest('not timed and priority = 2')}, ${oldest('timed')}) end head
  from (select distinct tenant_id, webhook_id, k from open where serial) o join webhook_gates g using (webhook_id)
  where not (${SLOT_IS_TAKEN} and (g.ordered or g.breaker_until is not null))
    and not ${BREAKER_IS_OPEN}
    and (g.rate_per_second is null or ${ARRIVAL_TIME} <= now() - interval '1 s' / g.rate_per_second)
  for update of g skip locked),
shares as materialized (
  select s.tenant_id, s.held, s.webhooks, s.priorities, s.ranks, s.ordered, s.heads, s.ks, s.rank,
    s.tenant_id <= ($2::uuid[])[s.rank] behind,
    least(ceil($7::float8 / count(*) over ()), greatest(0, $17::int - s.held))::int quota
  from (
    select o.tenant_id, min(o.rank) rank, coalesce(max(h.held), 0) held,
      array_agg(o.webhook_id order by o.rank, o.webhook_id) webhooks,
      array_agg(o.priority order by o.rank, o.webhook_id) priorities,
      array_agg(o.rank order by o.rank, o.webhook_id) ranks,
      array_agg(o.ordered order by o.rank, o.webhook_id) ordered,
      array_agg(s.head order by o.rank, o.webhook_id) heads,
      array_agg(coalesce(s.k, o.k) order by o.rank, o.webhook_id) ks
    from open o left join serial s using (webhook_id)
    left join unnest($18::uuid[], $19::int[]) h(tenant_id, held) using (tenant_id)
    where o.k > 0 and (not o.serial or s.k is not null)
    group by o.tenant_id) s),
first as materialized (
  select p.*, t.tenant_id
  from (select * from shares order by rank, behind, tenant_id) t
  cross join lateral (${ROWS_OF_TENANT} limit t.quota) p
  limit $7::int),
room as materialized (select greatest(0, least($7::int, $16::int) - (select count(*) from first))::int n),
more as materialized (
  select s.*, coalesce(f.n, 0) had
  from shares s left join (select tenant_id, count(*)::int n from first group by 1) f using (tenant_id)
  where coalesce(f.n, 0) = s.quota or (select count(*) from first) = $7::int),
rest as materialized (
  select p.*, t.tenant_id
  from (select * from more order by held + had, behind, tenant_id) t
  cross join lateral (${ROWS_OF_TENANT} offset t.had) p
  limit (select n from room)),
taken as materialized (select * from first union all select * from rest),
cut as materialized (
  select tenant_id from more where (select count(*) from rest) = (select n from room)),
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

/** How far the claim came, as the last columns of its result: in each priority, and there with tenants that it was not done with. */
export const CLAIM_PRIORITIES = `
  l.priority, l.of_tenant, l.scanned, l.most, l.reached, l.served, l.cut, (select count(*) from taken)::int taken,
  (select min(extract(epoch from due_at - now()) * 1000) from (
    select coalesce(t.tat, ${ARRIVAL_TIME}) + interval '1 s' / g.rate_per_second as due_at
    from open o join webhook_gates g using (webhook_id) left join gate t using (webhook_id)
    where g.rate_per_second is not null) due where due_at > now())::float8 wait_ms
from (
  select t.priority, null::uuid of_tenant, t.n scanned, $3::int most, t.tenant_id reached,
    (select s.tenant_id from shares s
      where ($1::smallint[])[s.rank] = t.priority and s.tenant_id = any(array(select f.tenant_id from first f))
      order by s.behind desc, s.tenant_id desc limit 1) served,
    exists (select from cut) cut
  from (select distinct on (priority) * from tenants where n > 0 order by priority, n desc) t
  union all
  select r.priority, r.tenant_id, r.n, r.most, r.webhook_id,
    (select t.webhook_id from taken t where t.priority = r.priority and t.tenant_id = r.tenant_id
      order by t.webhook_id desc limit 1),
    r.tenant_id = any(array(select c.tenant_id from cut c))
  from (select distinct on (priority, tenant_id) * from ready where webhook_id is not null
    order by priority, tenant_id, n desc) r
  where r.n = r.most or r.tenant_id = any(array(select c.tenant_id from cut c))) l`;

/** A row without {@link CLAIM_PRIORITIES}. */
export const NO_PRIORITY = `null::smallint priority, null::uuid of_tenant, null::int scanned, null::int most, null::uuid reached,
  null::uuid served, null::boolean cut, null::int taken, null::float8 wait_ms`;

/** The oldest row of an ordered webhook among those that the condition names. */
function oldest(condition: string): string {
  return `(select seq from delivery_queue
        where ${condition} and tenant_id = o.tenant_id and webhook_id = o.webhook_id order by seq limit 1)`;
}

/** The parameters of {@link CLAIM_ROWS}. */
export function claimValues({ claimant, ...request }: ClaimRequest): unknown[] {
  const taken = takenByWebhook(request.budget);
  const cursors = request.priorities.flatMap((priority) =>
    [...request.cursors[priority].webhooks].map(([tenant, webhook]) => ({ priority, tenant, webhook })),
  );
  return [
    request.priorities.map((priority) => PRIORITIES[priority]),
    request.priorities.map((priority) => request.cursors[priority].tenant),
    request.scan,
    [...taken.keys()],
    [...taken.values()],
    request.perWebhook,
    request.limit,
    request.leaseMs,
    claimant.defaultMode,
    claimant.modes,
    claimant.path === 'express',
    request.holder,
    cursors.map(({ priority }) => PRIORITIES[priority]),
    cursors.map(({ tenant }) => tenant),
    cursors.map(({ webhook }) => webhook),
    request.room.free,
    request.room.level,
    [...request.room.held.keys()],
    [...request.room.held.values()],
  ];
}
