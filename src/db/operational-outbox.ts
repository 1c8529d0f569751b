import type { Pool } from 'pg';
import { envelope } from '../domain/envelope';
import { matchingPatterns, type OperationalEvent } from '../domain/event-types';
import { newUuid, toPublicId } from '../domain/ids';
import { insertEvent } from './publish';
import { inTransaction, withConnection } from './transaction';

type Row = {
  tenant_id: string;
  type: OperationalEvent;
  webhook_id: string;
  delivery_id: string | null;
  details: Record<string, unknown> & { event_id?: string };
  created_at: Date;
};

/**
 * Publishes up to `limit` operational events, oldest first, each exactly once: what leaves the outbox and what enters
 * the queue is one transaction. Returns how many.
 */
export async function publishOperational(pool: Pool, limit: number): Promise<number> {
  return withConnection(pool, (client) =>
    inTransaction(client, async () => {
      const { rows } = await client.query<Row>(
        `delete from operational_outbox where id = any(array(
           select id from operational_outbox order by created_at limit $1 for update skip locked))
         returning tenant_id, type, webhook_id, delivery_id, details, created_at`,
        [limit],
      );
      // `returning` has no order.
      rows.sort((a, b) => a.created_at.getTime() - b.created_at.getTime());
      for (const row of rows) await insertEvent(client, toEvent(row));
      return rows.length;
    }),
  );
}

function toEvent(row: Row) {
  const createdAt = new Date();
  const id = newUuid(createdAt.getTime());
  const { event_id, ...details } = row.details;
  const data = {
    webhook_id: toPublicId('webhook', row.webhook_id),
    ...(row.delivery_id && { delivery_id: toPublicId('delivery', row.delivery_id) }),
    ...(event_id && { event_id: toPublicId('event', event_id) }),
    ...details,
    occurred_at: row.created_at,
  };
  return {
    id,
    tenantId: row.tenant_id,
    type: row.type,
    body: envelope({ id, type: row.type, version: '1.0', createdAt, data: JSON.stringify(data) }),
    createdAt,
    patterns: matchingPatterns(row.type),
  };
}
