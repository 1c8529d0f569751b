import type { Pool } from 'pg';
import type { Trigger } from '../domain/delivery';

/** What starting a delivery's workflow needs to know. */
export type QueuedDelivery = {
  deliveryId: string;
  tenantId: string;
  webhookId: string;
  eventType: string;
  host: string;
  /** Attempts made so far. */
  attempt: number;
};

export type ClaimedDelivery = QueuedDelivery & {
  trigger: Trigger;
  /** The API key behind a manual trigger. */
  askedBy: string | null;
};

export type ClaimRequest = {
  /** Webhooks after this id are looked at; {@link FIRST_CURSOR} starts from the beginning. */
  cursor: string;
  /** How many webhooks with work to look at in one turn. */
  scan: number;
  /** Rows to take at most, in all. */
  limit: number;
  /** Rows this process may hold of one webhook, at most; the webhook's own cap counts as well. */
  perWebhook: number;
  /** Rows this process holds now, by webhook. */
  held: ReadonlyMap<string, number>;
  leaseMs: number;
};

/** `nextCursor` is {@link FIRST_CURSOR} once the last webhook with work was looked at. */
export type Claim = { deliveries: ClaimedDelivery[]; nextCursor: string };

export const FIRST_CURSOR = '00000000-0000-0000-0000-000000000000';

/**
 * Takes work in one statement: skip-scans the webhooks that have any, drops those whose gate is shut, then takes up
 * to k rows of each in publish order and leases them. Fair per webhook by construction, and a shut gate costs one
 * index probe. Ordered and rate-limited webhooks (`serial`) take their slot or tokens from the gate row, so that it
 * holds across processes. Tokens: GCRA, where `tat` is the theoretical arrival time. Webhooks are picked in id order,
 * because the next cursor is the last one picked: out of order, those it jumps over would starve behind full claims.
 */
const CLAIM = {
  name: 'claim',
  text: `
with recursive ready(webhook_id, n) as (
  (select webhook_id, 1 from delivery_queue where not timed and webhook_id > $1::uuid order by webhook_id limit 1)
  union all
  select (select q.webhook_id from delivery_queue q where not q.timed and q.webhook_id > r.webhook_id
          order by q.webhook_id limit 1), r.n + 1
  from ready r where r.webhook_id is not null and r.n < $2::int),
open as (
  select r.webhook_id, g.serial, g.ordered, greatest(0, least($5::int, g.max_in_flight) - coalesce(m.held, 0)) k
  from ready r join webhook_gates g using (webhook_id)
  left join unnest($3::uuid[], $4::int[]) m(webhook_id, held) using (webhook_id)
  where g.status = 'active' and g.blocked_until <= now()),
serial as materialized (
  select o.webhook_id, g.ordered, case when g.ordered then 1 else least(o.k, g.burst,
    floor(extract(epoch from least(now() - g.tat, interval '1 hour')) * g.rate_per_second))::int end k
  from open o join webhook_gates g using (webhook_id)
  where o.serial and g.slot_until < now()
    and (g.rate_per_second is null or g.tat <= now() - interval '1 s' / g.rate_per_second)
  for update of g skip locked),
picked as materialized (
  select p.delivery_id, o.webhook_id
  from (select webhook_id, ordered, k from open where not serial
        union all select webhook_id, ordered, k from serial order by webhook_id) o
  cross join lateral (
    select delivery_id, seq from delivery_queue
    where not timed and webhook_id = o.webhook_id and lease_until < now()
    order by seq limit o.k for update skip locked) p
  where not o.ordered or p.seq = (
    select seq from delivery_queue where not timed and webhook_id = o.webhook_id order by seq limit 1)
  limit $6::int),
gate as (
  update webhook_gates g set
    slot_delivery_id = case when g.ordered then p.ids[1] end,
    slot_until = case when g.ordered then now() + $7::int * interval '1 ms' else g.slot_until end,
    tat = case when g.rate_per_second is null then g.tat else
      greatest(g.tat, now() - g.burst * interval '1 s' / g.rate_per_second) + p.n * interval '1 s' / g.rate_per_second end
  from (select webhook_id, count(*) n, array_agg(delivery_id) ids from picked group by 1) p
  where g.webhook_id = p.webhook_id and g.serial),
claimed as (
  update delivery_queue q set lease_until = now() + $7::int * interval '1 ms'
  where q.delivery_id = any(array(select delivery_id from picked))
  returning q.delivery_id, q.tenant_id, q.webhook_id, q.event_type, q.attempt, q.trigger, q.asked_by)
select c.*, (select w.host from webhooks w where w.id = c.webhook_id) as host from claimed c
union all
(select null, null, webhook_id, null, n, null, null, null from ready where webhook_id is not null order by n desc limit 1)`,
};

type Row = {
  delivery_id: string | null;
  tenant_id: string;
  webhook_id: string;
  event_type: string;
  attempt: number;
  trigger: Trigger;
  asked_by: string | null;
  host: string;
};

/** Leases up to `limit` deliveries. `nextCursor` is where the next claim of this turn goes on. */
export async function claimDeliveries(pool: Pool, request: ClaimRequest): Promise<Claim> {
  const { rows } = await pool.query<Row>({
    ...CLAIM,
    values: [
      request.cursor,
      request.scan,
      [...request.held.keys()],
      [...request.held.values()],
      request.perWebhook,
      request.limit,
      request.leaseMs,
    ],
  });
  const deliveries = rows.flatMap((row) =>
    row.delivery_id === null
      ? []
      : [
          {
            deliveryId: row.delivery_id,
            tenantId: row.tenant_id,
            webhookId: row.webhook_id,
            eventType: row.event_type,
            host: row.host,
            attempt: row.attempt,
            trigger: row.trigger,
            askedBy: row.asked_by,
          },
        ],
  );
  return { deliveries, nextCursor: nextCursor(request, deliveries, rows.at(-1)) };
}

/** A full claim goes on after the last webhook it served; another after the last it looked at, or ends the turn. */
function nextCursor({ limit, scan }: ClaimRequest, claimed: ClaimedDelivery[], last: Row | undefined): string {
  if (claimed.length === limit)
    return claimed
      .map((d) => d.webhookId)
      .sort()
      .at(-1)!;
  const scanned = last?.delivery_id === null ? last : undefined;
  return scanned && scanned.attempt >= scan ? scanned.webhook_id : FIRST_CURSOR;
}
