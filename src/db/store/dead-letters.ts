import { type RawBuilder, sql } from 'kysely';
import { uuidAboveEnded, uuidFloor } from '../../domain/ids';
import type { TimeOfDelivery } from '../../domain/replay';
import type { Queryable } from '../database';
import { lastAttempt } from './attempts';
import { type Found, type Part, scanIds, upTo } from './scan';

/** Dead letters are the failed deliveries that nobody has discarded: `failed_at` is set. */
export type DeadLetterFilter = {
  webhookId?: string;
  eventTypes?: string[];
  since: Date;
  until: Date;
  /** What `since` and `until` bound; `published` where it is absent. */
  by?: TimeOfDelivery;
};

/** Newest first, each with its last attempt. */
export async function listDeadLetters(
  db: Queryable,
  tenantId: string,
  filter: DeadLetterFilter & Part,
): Promise<Found<DeadLetter>> {
  const { limit, beforeId } = filter;
  const query = selectDead(db, tenantId, filter);
  if (!filter.webhookId && !filter.eventTypes && filter.by !== 'ended') {
    const before = beforeId ? query.where('d.id', '<', beforeId) : query;
    return upTo(limit, await before.limit(limit + 1).execute());
  }
  const before = beforeId ? sql`and d.id < ${beforeId}` : sql``;
  const { ids, next } = await scanIds(db, scanOf(tenantId, filter, before), limit);
  return { rows: ids.length > 0 ? await query.where('d.id', 'in', ids).execute() : [], next };
}

export type DeadLetter = Awaited<ReturnType<ReturnType<typeof selectDead>['execute']>>[number];

/** Looks of {@link SCAN} dead letters each that one call takes at most. */
const MAX_SCANS = 200;

/** Discards at most `limit` dead letters, oldest first; they stay failed. `more`: others may match the filter. */
export async function discardDeadLetters(
  db: Queryable,
  tenantId: string,
  filter: DeadLetterFilter,
  limit: number,
): Promise<{ discarded: number; more: boolean }> {
  let discarded = 0;
  let next: string | undefined;
  for (let scans = 0; scans < MAX_SCANS && discarded < limit; scans++) {
    const after = next ? sql`and d.id > ${next}` : sql``;
    const scan = { ...scanOf(tenantId, filter, after), order: 'oldest first' as const };
    const found = await scanIds(db, scan, limit - discarded);
    discarded += await discard(db, tenantId, found.ids);
    next = found.next;
    if (next === undefined) return { discarded, more: false };
  }
  return { discarded, more: true };
}

/** Dead letters of the window from the index of these, and the filter's other conditions. */
function scanOf(tenantId: string, filter: DeadLetterFilter, further: RawBuilder<unknown>) {
  const { webhookId, eventTypes, since, until, by } = filter;
  const { from, to } = idsOf(filter);
  const rows = sql`
    select d.id, d.webhook_id, d.event_type, d.failed_at from deliveries d
    where d.tenant_id = ${tenantId} and d.failed_at is not null and d.id >= ${from} and d.id < ${to} ${further}`;
  const ofWebhook = webhookId ? sql`d.webhook_id = ${webhookId}` : sql`true`;
  const ofType = eventTypes ? sql`d.event_type = any(${eventTypes}::text[])` : sql`true`;
  const ended = by === 'ended' ? sql`d.failed_at >= ${since} and d.failed_at < ${until}` : sql`true`;
  return { rows, matches: sql`${ofWebhook} and ${ofType} and ${ended}` };
}

/** The ids between which the deliveries of a window are. */
function idsOf({ since, until, by }: DeadLetterFilter): { from: string; to: string } {
  return by === 'ended'
    ? { from: uuidFloor(0), to: uuidAboveEnded(until.getTime()) }
    : { from: uuidFloor(since.getTime()), to: uuidFloor(until.getTime()) };
}

/** Discards those of the given deliveries that are dead letters, and returns how many were. */
export async function discard(db: Queryable, tenantId: string, ids: readonly string[]): Promise<number> {
  const { numAffectedRows } = await sql`
    update deliveries set failed_at = null
    where id = any(${ids}::uuid[]) and tenant_id = ${tenantId} and state = 'failed' and failed_at is not null`.execute(
    db,
  );
  return Number(numAffectedRows ?? 0n);
}

function selectDead(db: Queryable, tenantId: string, filter: DeadLetterFilter) {
  const { from, to } = idsOf(filter);
  return db
    .selectFrom('deliveries as d')
    .leftJoinLateral(lastAttempt, (join) => join.onTrue())
    .select([
      'd.id',
      'd.event_id',
      'd.event_type',
      'd.webhook_id',
      'd.failed_because',
      'd.failed_at',
      'd.attempt_count',
    ])
    .select(['a.status_code', 'a.error_code', 'a.error_message', 'a.error_details'])
    .where('d.tenant_id', '=', tenantId)
    .where('d.failed_at', 'is not', null)
    .where('d.id', '>=', from)
    .where('d.id', '<', to)
    .orderBy('d.id', 'desc');
}
