import { sql } from 'kysely';
import type { Queryable } from '../database';
import type { QueuedDelivery } from './claim-workflow';
import { isDead, LIVE_HOLDERS } from './lease-holders';

/** A retry this late that the express path left to Temporal, and that no workflow has taken up yet. */
const LEFT_BY_EXPRESS_MS = 10_000;

/**
 * Deliveries whose retry is `overdueMs` late, oldest first: their workflow may be lost. One that still bears the mark of
 * the express path may never have had any, and is found sooner. They count as due from now, so that the next round takes
 * others.
 */
export async function takeOverdue(db: Queryable, overdueMs: number, limit: number) {
  const { rows } = await sql<QueuedDelivery>`
    with ${sql.raw(LIVE_HOLDERS)},
    overdue as materialized (
      select delivery_id from delivery_queue
      where timed and next_attempt_at < now() - ${Math.min(overdueMs, LEFT_BY_EXPRESS_MS)}::int * interval '1 ms'
        and (express or next_attempt_at < now() - ${overdueMs}::int * interval '1 ms')
        and (posting is null or ${sql.raw(isDead('holder'))})
      order by next_attempt_at limit ${limit}::int for update skip locked)
    update delivery_queue q set next_attempt_at = now()
    from webhooks w
    where q.delivery_id = any(array(select delivery_id from overdue)) and w.id = q.webhook_id
    returning q.delivery_id as "deliveryId", q.tenant_id as "tenantId", q.webhook_id as "webhookId",
      q.event_type as "eventType", q.attempt, w.host`.execute(db);
  return rows;
}
