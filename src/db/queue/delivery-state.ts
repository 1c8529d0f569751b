import { sql } from 'kysely';
import type { EndState } from '../../domain/delivery';
import type { Queryable } from '../database';

/** How long a delivery still waits after this attempt, milliseconds. Undefined where it does not, or another was made. */
export async function findWait(db: Queryable, deliveryId: string, attempt: number): Promise<number | undefined> {
  const { rows } = await sql<{ waitMs: number }>`
    select greatest(0, extract(epoch from next_attempt_at - now()) * 1000)::float8 as "waitMs" from delivery_queue
    where delivery_id = ${deliveryId} and timed and attempt = ${attempt}`.execute(db);
  return rows[0]?.waitMs;
}

/** How a delivery ended, and how many attempts it has had. */
export type Ended = { kind: EndState; attempts: number };

/** The end that stands in the database; `cancelled` for a delivery of which nothing is left. */
export async function findEnd(db: Queryable, deliveryId: string): Promise<Ended> {
  const { rows } = await sql<{ state: 'pending' | EndState; attempts: number }>`
    select d.state, (select coalesce(max(a.number), 0) from attempts a where a.delivery_id = d.id) as attempts
    from deliveries d where d.id = ${deliveryId}`.execute(db);
  const { state, attempts } = rows[0] ?? { state: 'cancelled', attempts: 0 };
  return { kind: state === 'pending' ? 'cancelled' : state, attempts };
}
