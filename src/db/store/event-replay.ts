import { sql } from 'kysely';
import { matchingPatterns, OPERATIONAL_PREFIX } from '../../domain/event-types';
import { sameTimeBounds } from '../../domain/ids';
import type { Queryable, Tx } from '../database';
import { newDeliveryId } from '../delivery-id';
import { reopenEnded } from '../queue/reopen';

export type EventReplay = {
  tenantId: string;
  event: { id: string; type: string };
  /** Live webhooks of the tenant. */
  webhookIds: string[];
  /** The API key that asked. */
  askedBy: string;
};

/**
 * `replayed`: an ended delivery was started anew. `already_under_way`: it has not ended and was left alone.
 * `created`: the webhook had none of this event.
 */
export type EventReplayResult = {
  webhookId: string;
  deliveryId: string;
  result: 'replayed' | 'already_under_way' | 'created';
};

/** Those of the given webhooks that the tenant has. */
export async function ownWebhooks(db: Queryable, tenantId: string, ids: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('webhooks')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
    .where('id', 'in', [...ids])
    .execute();
  return rows.map(({ id }) => id);
}

/**
 * The webhooks that an event is for: those that had a delivery of it, and those that want its type and version now.
 * `excluded` have a filter that it does not pass; version null: our own event, of interest whatever the version.
 */
export async function webhooksOfEvent(
  db: Queryable,
  tenantId: string,
  event: EventReplay['event'] & { version: string | null; excluded: string[] },
): Promise<string[]> {
  const { from, to } = sameTimeBounds(event.id);
  const { rows } = await sql<{ id: string }>`
    select w.id from webhooks w
    where w.tenant_id = ${tenantId} and w.deleted_at is null and w.id in (
      select d.webhook_id from deliveries d where d.event_id = ${event.id} and d.id >= ${from} and d.id < ${to}
      union
      select s.webhook_id from subscriptions s
      where s.tenant_id = ${tenantId} and s.pattern = any(${matchingPatterns(event.type)}::text[])
        and (${event.version}::text is null or s.payload_version is null or s.payload_version = ${event.version})
        and s.webhook_id <> all(${event.excluded}::uuid[]))
    order by w.id`.execute(db);
  return rows.map(({ id }) => id);
}

/**
 * Sends an event again, to each webhook once, in one transaction: it locks the event, so that two such requests at
 * once cannot both make a delivery for the same webhook.
 */
export async function replayEvent(tx: Tx, { tenantId, event, webhookIds, askedBy }: EventReplay) {
  await sql`select from events where id = ${event.id} for no key update`.execute(tx);
  const { from, to } = sameTimeBounds(event.id);
  const existing = await tx
    .selectFrom('deliveries')
    .select(['id', 'webhook_id'])
    .where('event_id', '=', event.id)
    .where('tenant_id', '=', tenantId)
    .where('id', '>=', from)
    .where('id', '<', to)
    .where('webhook_id', 'in', webhookIds)
    .execute();
  const byWebhook = new Map(existing.map((row) => [row.webhook_id, row.id]));
  const how = { tenantId, trigger: 'replay', askedBy, priority: 'normal' } as const;
  const reopened = new Set(await reopenEnded(tx, [...byWebhook.values()], how));
  const missing = webhookIds.filter((id) => !byWebhook.has(id));
  const created = new Map(await createDeliveries(tx, { tenantId, event, webhookIds: missing, askedBy }));
  return webhookIds.map((webhookId): EventReplayResult => {
    const made = created.get(webhookId);
    if (made) return { webhookId, deliveryId: made, result: 'created' };
    const deliveryId = byWebhook.get(webhookId)!;
    return { webhookId, deliveryId, result: reopened.has(deliveryId) ? 'replayed' : 'already_under_way' };
  });
}

/** As in a publish: a delivery's id takes the event's 48 time bits. Returns pairs of webhook and delivery. */
async function createDeliveries(tx: Tx, { tenantId, event, webhookIds, askedBy }: EventReplay) {
  const { rows } = await sql<{ webhook_id: string; delivery_id: string }>`
    with d as (
      insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, minimal)
      select ${sql.raw(newDeliveryId('e.id'))},
        ${tenantId}::uuid, e.id, w.id, ${event.type},
        w.payload = 'minimal' and ${!event.type.startsWith(OPERATIONAL_PREFIX)}::boolean
      from webhooks w cross join (select ${event.id}::uuid as id) e
      where w.tenant_id = ${tenantId} and w.id = any(${webhookIds}::uuid[])
      returning id, tenant_id, event_id, webhook_id, event_type)
    insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, trigger, asked_by)
    select id, tenant_id, event_id, webhook_id, event_type, 'replay', ${askedBy}::uuid from d
    returning webhook_id, delivery_id`.execute(tx);
  return rows.map((row) => [row.webhook_id, row.delivery_id] as const);
}
