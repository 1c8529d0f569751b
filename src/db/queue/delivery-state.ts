import { sql } from 'kysely';
import type { EndState } from '../../domain/delivery';
import type { Queryable } from '../database';
import { inQueue, remainingMs } from './load-attempt.sql';

/** How long a delivery still waits after this attempt, milliseconds. Undefined where it does not, or another was made. */
export async function findWait(db: Queryable, deliveryId: string, attempt: number): Promise<number | undefined> {
  const { rows } = await sql<{ waitMs: number }>`
    select ${sql.raw(remainingMs('q'))} as "waitMs" from delivery_queue q
    where delivery_id = ${deliveryId} and timed and attempt = ${attempt}`.execute(db);
  return rows[0]?.waitMs;
}

/**
 * What is true of a delivery now, and how many attempts it has had: it has ended, or will without another attempt; it waits
 * for its next attempt, at `atMs` by the clock of Postgres (Unix milliseconds); it is claimed for its workflow, whose attempt
 * has not begun; or it is in the queue, or in flight.
 */
export type Standing = { attempts: number } & (
  | { kind: EndState }
  | { kind: 'waits'; waitMs: number; atMs: number; moves: number }
  | { kind: 'claimed' | 'queued' }
);

/** `cancelled` also for a delivery of which nothing is left, and for one that the attempt in flight ends. */
export async function findStanding(db: Queryable, deliveryId: string): Promise<Standing> {
  const { rows } = await sql<{
    state: 'pending' | EndState;
    attempts: number;
    lives: boolean;
    timed: boolean;
    claimed: boolean;
    waitMs: number;
    atMs: number;
    moves: number;
  }>`
    select d.state, (select coalesce(max(a.number), 0) from attempts a where a.delivery_id = d.id) as attempts,
      q.delivery_id is not null and not q.cancel_asked as lives, q.timed, q.moves,
      coalesce(${sql.raw(inQueue('q'))} = 'claimed', false) as claimed,
      ${sql.raw(remainingMs('q'))} as "waitMs", (extract(epoch from q.next_attempt_at) * 1000)::float8 as "atMs"
    from deliveries d left join delivery_queue q on q.delivery_id = d.id where d.id = ${deliveryId}`.execute(db);
  const [row] = rows;
  if (!row) return { kind: 'cancelled', attempts: 0 };
  const { state, attempts, lives, timed, claimed, ...wait } = row;
  if (state !== 'pending') return { kind: state, attempts };
  if (!lives) return { kind: 'cancelled', attempts };
  if (timed) return { kind: 'waits', attempts, ...wait };
  return { kind: claimed ? 'claimed' : 'queued', attempts };
}
