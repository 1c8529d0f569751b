import { sql } from 'kysely';

type ReopenParameters = {
  ids: readonly string[];
  tenantId: string;
  trigger: string;
  askedBy: string | null;
  priority: number;
  leaseMs?: number;
  endedBefore?: string;
};

/** delivered | failed | cancelled ──▶ pending */
export function reopenStatement({ ids, leaseMs, endedBefore, ...how }: ReopenParameters) {
  const leaseUntil = leaseMs ? sql`now() + ${leaseMs}::int * interval '1 ms'` : sql`'epoch'`;
  const ifEndedBefore = endedBefore ? sql`and deliveries.ended_at < ${endedBefore}::timestamptz` : sql``;
  // Bounds, so that only the partitions of these deliveries are looked into.
  const sorted = [...ids].sort();
  const isOne = sql`deliveries.id = any(${ids}::uuid[])
        and deliveries.id between ${sorted[0]}::uuid and ${sorted.at(-1)}::uuid`;
  return sql<{ delivery_id: string }>`
-- Starts ended deliveries anew: a fresh schedule, and attempt numbers that go on.
--
-- Parameters
--   ids                       the deliveries
--   tenantId                  whose they are
--   trigger, askedBy          why they are attempted, and by which API key
--   priority                  with which they are queued
--   leaseMs                   the caller holds the rows for so long; undefined: they are claimable
--   endedBefore               of those that ended then or later none is reopened; undefined: all are
-- Reads     deliveries, webhooks, attempts
-- Writes    deliveries, delivery_queue
-- Locks     deliveries by id
-- Returns   the deliveries that were reopened

-- Those that have ended, locked in order: two who reopen the same deliveries cannot deadlock.
with ended as materialized (
  select deliveries.id, deliveries.state, deliveries.ended_at from deliveries
  where ${isOne} and deliveries.tenant_id = ${how.tenantId} and deliveries.state <> 'pending' ${ifEndedBefore}
  order by deliveries.id for update),

-- Deliveries of deleted webhooks stay as they are.
reopened as (
  update deliveries set state = 'pending', ended_at = null, failed_at = null, failed_because = null
  where ${isOne} and deliveries.id in (select id from ended) and deliveries.state <> 'pending'
    and exists (select from webhooks where webhooks.id = deliveries.webhook_id and webhooks.deleted_at is null)
  returning deliveries.*)

-- Numbers go on after the last attempt that is in the log, counted or not. When it failed before tells a repetition.
insert into delivery_queue
  (delivery_id, tenant_id, event_id, webhook_id, event_type, attempt, trigger, asked_by, priority, lease_until,
    attempt_failed_at, failed_at)
select reopened.id, reopened.tenant_id, reopened.event_id, reopened.webhook_id, reopened.event_type,
  greatest(reopened.attempt_count,
    (select coalesce(max(attempts.number), 0) from attempts where attempts.delivery_id = reopened.id)),
  ${how.trigger}, ${how.askedBy}::uuid, ${how.priority}::smallint, ${leaseUntil},
  case when ended.state <> 'delivered' and reopened.attempt_count > 0 then ended.ended_at end,
  case when ended.state = 'failed' then ended.ended_at end
from reopened join ended on ended.id = reopened.id order by reopened.id on conflict do nothing returning delivery_id`;
}
