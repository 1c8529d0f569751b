import { type Kysely, sql } from 'kysely';
import { uuidFloor } from '../domain/ids';
import type { Tables } from './tables';

type Db = Kysely<Tables>;

/** Dead letters are the failed deliveries that nobody has discarded: `failed_at` is set. */
export type DeadLetterFilter = { webhookId?: string; eventTypes?: string[]; since: Date; until: Date };

/** Newest first, each with its last attempt; `beforeId` is the last id of the page before. */
export async function listDeadLetters(
  db: Db,
  tenantId: string,
  filter: DeadLetterFilter & { beforeId?: string; limit: number },
) {
  let query = selectDead(db, tenantId, filter)
    .leftJoinLateral(
      (eb) =>
        eb
          .selectFrom('attempts as a')
          .select(['a.status_code', 'a.error_code', 'a.error_message'])
          .whereRef('a.delivery_id', '=', 'd.id')
          .orderBy('a.number', 'desc')
          .limit(1)
          .as('a'),
      (join) => join.onTrue(),
    )
    .select(['d.event_id', 'd.event_type', 'd.webhook_id', 'd.failed_because', 'd.failed_at', 'd.attempt_count'])
    .select(['a.status_code', 'a.error_code', 'a.error_message'])
    .orderBy('d.id', 'desc')
    .limit(filter.limit);
  if (filter.beforeId) query = query.where('d.id', '<', filter.beforeId);
  return query.execute();
}

export type DeadLetter = Awaited<ReturnType<typeof listDeadLetters>>[number];

/** Discards at most `limit` dead letters, oldest first; they stay failed. `more`: others match the filter. */
export async function discardDeadLetters(
  db: Db,
  tenantId: string,
  filter: DeadLetterFilter,
  limit: number,
): Promise<{ discarded: number; more: boolean }> {
  const found = await selectDead(db, tenantId, filter)
    .orderBy('d.id')
    .limit(limit + 1)
    .execute();
  const ids = found.slice(0, limit).map(({ id }) => id);
  return { discarded: await discard(db, tenantId, ids), more: found.length > limit };
}

/** Discards those of the given deliveries that are dead letters, and returns how many were. */
export async function discard(db: Db, tenantId: string, ids: readonly string[]): Promise<number> {
  const { numAffectedRows } = await sql`
    update deliveries set failed_at = null
    where id = any(${ids}::uuid[]) and tenant_id = ${tenantId} and state = 'failed' and failed_at is not null`.execute(
    db,
  );
  return Number(numAffectedRows ?? 0n);
}

function selectDead(db: Db, tenantId: string, { webhookId, eventTypes, since, until }: DeadLetterFilter) {
  let query = db
    .selectFrom('deliveries as d')
    .select('d.id')
    .where('d.tenant_id', '=', tenantId)
    .where('d.failed_at', 'is not', null)
    .where('d.id', '>=', uuidFloor(since.getTime()))
    .where('d.id', '<', uuidFloor(until.getTime()));
  if (webhookId) query = query.where('d.webhook_id', '=', webhookId);
  if (eventTypes) query = query.where('d.event_type', 'in', eventTypes);
  return query;
}
