import { type Selectable, sql } from 'kysely';
import { formatRateLimit, parseRateLimit, type RateLimit } from '../../domain/rate-limit';
import type { ReplayFilter, ReplayProgress } from '../../domain/replay';
import type { Queryable, Tx } from '../database';
import type { Tables } from '../tables';

export type NewReplay = {
  id: string;
  tenantId: string;
  /** Null: of every webhook of the tenant. */
  webhookId: string | null;
  filter: ReplayFilter;
  rate: RateLimit;
  /** The API key that asked. */
  askedBy: string;
};

export type Replay = Omit<NewReplay, 'askedBy'> & ReplayProgress & { createdAt: Date; endedAt: Date | null };

/** Stores a replay as running; its workflow does the rest. */
export async function insertReplay(db: Queryable, replay: NewReplay): Promise<Replay> {
  const { rate } = replay;
  const row = await db
    .insertInto('replays')
    .values({
      id: replay.id,
      tenant_id: replay.tenantId,
      webhook_id: replay.webhookId,
      filter: JSON.stringify({ ...replay.filter, rate_limit: formatRateLimit(rate) }),
      rate_per_second: (rate.count * 1_000) / rate.perMs,
      asked_by: replay.askedBy,
      updated_at: sql<Date>`now()`,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  return toReplay(row);
}

export async function findReplay(db: Queryable, tenantId: string, id: string): Promise<Replay | undefined> {
  const row = await db
    .selectFrom('replays')
    .selectAll()
    .where('id', '=', id)
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst();
  return row && toReplay(row);
}

/** The tenant whose replay it is. @throws if there is no such replay */
export async function ownerOf(db: Queryable, id: string): Promise<string> {
  const row = await db.selectFrom('replays').select('tenant_id').where('id', '=', id).executeTakeFirstOrThrow();
  return row.tenant_id;
}

/** Holds off others who begin replays of this tenant until the transaction ends, and counts those that are running. */
export async function countRunning(tx: Tx, tenantId: string): Promise<number> {
  await sql`select from tenants where id = ${tenantId} for no key update`.execute(tx);
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from replays where tenant_id = ${tenantId} and state = 'running'`.execute(tx);
  return rows[0]!.count;
}

/** Newest first; `beforeId` is the last id of the page before. */
export async function listReplays(
  db: Queryable,
  tenantId: string,
  limit: number,
  beforeId?: string,
): Promise<Replay[]> {
  let query = db.selectFrom('replays').selectAll().where('tenant_id', '=', tenantId).orderBy('id', 'desc').limit(limit);
  if (beforeId) query = query.where('id', '<', beforeId);
  return (await query.execute()).map(toReplay);
}

/**
 * running ──▶ cancelled: no page is made after this. Waits for one that is being made. Returns the row's
 * state then, which is unchanged if the replay had ended before.
 */
export async function cancelReplay(db: Queryable, id: string): Promise<ReplayProgress> {
  await sql`
    update replays set state = 'cancelled', ended_at = now(), updated_at = now()
    where id = ${id} and state = 'running'`.execute(db);
  return findProgress(db, id);
}

/** @throws if there is no such replay */
export async function findProgress(db: Queryable, id: string): Promise<ReplayProgress> {
  return db
    .selectFrom('replays')
    .select(['state', 'total', 'sent', 'skipped'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
}

/**
 * Running replays without a page for `staleMs`, longest first: their workflow may be lost. They count as moved now,
 * so that the next round takes others.
 */
export async function takeStaleReplays(db: Queryable, staleMs: number, limit: number): Promise<Replay[]> {
  const { rows } = await sql<ReplayRow>`
    with stale as materialized (
      select id from replays
      where state = 'running' and updated_at < now() - ${staleMs}::int * interval '1 ms'
      order by updated_at limit ${limit}::int for update skip locked)
    update replays r set updated_at = now()
    where r.id = any(array(select id from stale)) and r.state = 'running'
    returning r.*`.execute(db);
  return rows.map(toReplay);
}

type ReplayRow = Selectable<Tables['replays']>;

function toReplay(row: ReplayRow): Replay {
  const { rate_limit, ...filter } = row.filter;
  return {
    id: row.id,
    tenantId: row.tenant_id,
    webhookId: row.webhook_id,
    filter,
    rate: parseRateLimit(rate_limit)!,
    state: row.state,
    total: row.total,
    sent: row.sent,
    skipped: row.skipped,
    createdAt: row.created_at,
    endedAt: row.ended_at,
  };
}
