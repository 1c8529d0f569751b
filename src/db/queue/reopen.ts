import { type Kysely, sql } from 'kysely';
import type { Trigger } from '../../domain/delivery';
import { PRIORITIES, type Priority } from '../../domain/priorities';
import type { Tables } from '../tables';

export type Reopen = {
  tenantId: string;
  trigger: Trigger;
  /** The API key that asked. */
  askedBy: string | null;
  priority: Priority;
  /** The caller holds the row for so long, and makes the attempt itself. */
  leaseMs?: number;
  /** Text of a timestamp: a delivery that ended then or later is left alone. */
  endedBefore?: string;
};

/**
 * delivered | failed | cancelled ──▶ pending: starts ended deliveries anew with a fresh schedule; attempt numbers go
 * on. Leaves those alone that have not ended or whose webhook was deleted. Rows are locked in id order, so that two
 * who reopen the same deliveries cannot deadlock. Returns the ids of those that were reopened.
 */
export async function reopenEnded(db: Kysely<Tables>, ids: readonly string[], how: Reopen): Promise<string[]> {
  if (ids.length === 0) return [];
  const endedBefore = how.endedBefore ? sql`and d.ended_at < ${how.endedBefore}::timestamptz` : sql``;
  const leaseUntil = how.leaseMs ? sql`now() + ${how.leaseMs}::int * interval '1 ms'` : sql`'epoch'`;
  // Bounds, so that only the partitions of these deliveries are looked into.
  const sorted = [...ids].sort();
  const within = sql`d.id = any(${ids}::uuid[]) and d.id between ${sorted[0]}::uuid and ${sorted.at(-1)}::uuid`;
  const { rows } = await sql<{ delivery_id: string }>`
    with ended as materialized (
      select d.id from deliveries d
      where ${within} and d.tenant_id = ${how.tenantId} and d.state <> 'pending' ${endedBefore}
      order by d.id for update),
    reopened as (
      update deliveries d set state = 'pending', ended_at = null, failed_at = null, failed_because = null
      where ${within} and d.id in (select id from ended) and d.state <> 'pending'
        and exists (select from webhooks w where w.id = d.webhook_id and w.deleted_at is null)
      returning d.*)
    insert into delivery_queue
      (delivery_id, tenant_id, event_id, webhook_id, event_type, attempt, trigger, asked_by, priority, lease_until)
    select d.id, d.tenant_id, d.event_id, d.webhook_id, d.event_type,
      greatest(d.attempt_count, (select coalesce(max(a.number), 0) from attempts a where a.delivery_id = d.id)),
      ${how.trigger}, ${how.askedBy}::uuid, ${PRIORITIES[how.priority]}::smallint, ${leaseUntil}
    from reopened d order by d.id on conflict do nothing returning delivery_id`.execute(db);
  return rows.map((row) => row.delivery_id);
}
