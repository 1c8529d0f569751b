import type { Pool } from 'pg';
import { uuidFloor, uuidTimeMs } from '../../domain/ids';
import type { BatchEvent, EventKey, NewEvent, Published } from './types';

/**
 * What came of the events that already have a key. In statements of their own: the snapshot of the publish that found the
 * key taken does not see an event that another one has just committed.
 */

/** The event that has this one's producer's id. */
export async function findDuplicate(db: Pick<Pool, 'query'>, event: NewEvent): Promise<Published> {
  const { rows } = await db.query<{ event_id: string; type: string; created_at: Date; deliveries: number }>(
    `select k.event_id, e.type, e.created_at, (select count(*) from deliveries d where d.event_id = k.event_id
        and d.id between (substr(k.event_id::text, 1, 13) || '-0000-0000-000000000000')::uuid
                     and (substr(k.event_id::text, 1, 13) || '-ffff-ffff-ffffffffffff')::uuid)::int as deliveries
     from idempotency_keys k join events e on e.id = k.event_id where k.tenant_id = $1 and k.kind = 'event' and k.key = $2`,
    [event.tenantId, event.producerId],
  );
  const row = rows[0];
  if (!row) throw new Error('the idempotency key vanished between two statements');
  return {
    eventId: row.event_id,
    type: row.type,
    createdAt: row.created_at,
    deliveries: row.deliveries,
    duplicate: true,
  };
}

/** Names a key among those of all tenants. */
export const nameOf = (tenantId: string, { kind, key }: EventKey) => `${tenantId}/${kind}/${key}`;

/** The events that have the keys of these, by {@link nameOf}. */
export async function findEarlier(
  db: Pick<Pool, 'query'>,
  events: readonly BatchEvent[],
): Promise<Map<string, { eventId: string; deliveries: number }>> {
  if (events.length === 0) return new Map();
  const { rows } = await db.query<{ tenant_id: string; kind: EventKey['kind']; key: string; event_id: string }>(
    `select k.tenant_id, k.kind, k.key, k.event_id
     from unnest($1::uuid[], $2::text[], $3::text[]) as wanted (tenant_id, kind, key)
     join idempotency_keys k on k.tenant_id = wanted.tenant_id and k.kind = wanted.kind and k.key = wanted.key`,
    [events.map(({ tenantId }) => tenantId), events.map(({ once }) => once!.kind), events.map(({ once }) => once!.key)],
  );
  const counts = await countDeliveries(db, [...new Set(rows.map((row) => row.event_id))]);
  return new Map(
    rows.map((row) => [
      nameOf(row.tenant_id, row),
      { eventId: row.event_id, deliveries: counts.get(row.event_id) ?? 0 },
    ]),
  );
}

async function countDeliveries(db: Pick<Pool, 'query'>, eventIds: string[]): Promise<Map<string, number>> {
  // Deliveries share their event's time bits: without these bounds every partition would be looked at.
  const times = eventIds.map(uuidTimeMs);
  const { rows } = await db.query<{ event_id: string; deliveries: number }>(
    `select event_id, count(*)::int as deliveries from deliveries
     where event_id = any($1::uuid[]) and id between $2 and $3 group by event_id`,
    [eventIds, uuidFloor(Math.min(...times)), uuidFloor(Math.max(...times) + 1)],
  );
  return new Map(rows.map((row) => [row.event_id, row.deliveries]));
}
