import type { Pool } from 'pg';
import { PRIORITIES, type Priority } from '../../domain/priorities';
import { withPartition } from '../partitions';
import { prepareStatement } from '../prepared-statement';
import { enqueue, insertDeliveries, insertEvents, makeDeliveries } from './sql';

/** An event of our own for a single webhook. */
export type AddressedEvent = {
  /** uuid */
  id: string;
  type: string;
  body: Buffer;
  createdAt: Date;
  priority: Priority;
  webhookId: string;
};

/**
 * Stores an event and its one delivery, to the given webhook, whatever that webhook or others subscribe to.
 *
 * Reads webhooks. Writes events, deliveries, delivery_queue.
 *
 * Returns one row with the delivery's id; none if the webhook does not exist or is deleted.
 */
const PUBLISH_TO = prepareStatement(
  'publish_to',
  {
    id: 'uuid',
    type: 'text',
    body: 'bytea',
    created_at: 'timestamptz',
    priority: 'smallint',
    webhook_id: 'uuid',
  },
  `
with
recipients as materialized (
  select id as webhook_id, tenant_id, false as minimal from webhooks where id = :webhook_id and deleted_at is null),
-- Without a version, as every event of our own: it goes out whole.
new_events as materialized (
  select :id as id, recipients.tenant_id, :type as type, :body as body, :created_at as created_at,
    null::text[] as key_fields, :priority as priority, null::text as version, 1 as place
  from recipients),
${insertEvents()},
${makeDeliveries('cross join recipients')},
${insertDeliveries()},
${enqueue()}
select id from new_deliveries`,
);

/** Publishes an event to one webhook and to nobody else. Returns the delivery's uuid; undefined if there is no such webhook. */
export async function publishTo(pool: Pool, event: AddressedEvent): Promise<string | undefined> {
  const { id, type, body, createdAt, priority, webhookId } = event;
  const { rows } = await withPartition(pool, createdAt, () =>
    pool.query<{ id: string }>(
      PUBLISH_TO({
        ...{ id, type, body, created_at: createdAt, webhook_id: webhookId },
        priority: PRIORITIES[priority],
      }),
    ),
  );
  return rows[0]?.id;
}
