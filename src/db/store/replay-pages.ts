import { type Selectable, sql } from 'kysely';
import { uuidAboveEnded, uuidFloor } from '../../domain/ids';
import type { ReplayProgress } from '../../domain/replay';
import type { Queryable, Tx } from '../database';
import { reopenEnded } from '../queue/reopen';
import type { Tables } from '../tables';
import { findProgress } from './replays';

/**
 * A bulk replay's pages. The set that it matches can only shrink: a delivery counts if it ended before the replay was
 * asked for, and one that is sent again ends later. So none is replayed twice, however often it fails again.
 */

/** Deliveries that one statement looks at: its time stays bounded if only a few of very many match. */
const SCAN = 5_000;

/** `createdAt` as text, because a Date has lost its microseconds. */
type ReplayRow = Selectable<Tables['replays']> & { created_at_text: string };

/** How far the count has come: the last delivery that was looked at, and how many matched until there. */
export type Counted = { total: number; after: string };

export type Counting = {
  from?: Counted | undefined;
  /** Runs one step as soon as the tenant's permit is free. */
  withPermit?: <T>(step: () => Promise<T>) => Promise<T>;
  onStep?: (counted: Counted) => void;
};

/** Stores how many deliveries a replay matches, if that is not known. Ends early if it was cancelled. */
export async function countReplay(
  db: Queryable,
  id: string,
  { from, withPermit = (step) => step(), onStep }: Counting = {},
): Promise<ReplayProgress> {
  let total = from?.total ?? 0;
  let after = from?.after;
  for (;;) {
    const replay = await selectReplay(db, id).executeTakeFirstOrThrow();
    if (replay.total !== null || replay.state !== 'running') break;
    const start = after ?? firstOf(replay);
    const { count, next } = await withPermit(() => scan(db, replay, start, 0));
    total += count;
    if (next === undefined) {
      await sql`update replays set total = ${total}::int, updated_at = now()
        where id = ${id} and state = 'running' and total is null`.execute(db);
      break;
    }
    after = next;
    onStep?.({ total, after });
  }
  return findProgress(db, id);
}

/**
 * Puts the next deliveries of a running replay back into the queue, `limit` at most, oldest first, behind live traffic.
 * One transaction moves the replay with them, so a page that is asked for twice is the next page.
 *
 *   running ──▶ running | completed
 */
export async function replayPage(db: Queryable, id: string, limit: number): Promise<ReplayProgress> {
  return db.transaction().execute(async (tx) => {
    const replay = await selectReplay(tx, id).forUpdate().executeTakeFirstOrThrow();
    if (replay.state === 'running') {
      const { ids, next } = await scan(tx, replay, replay.position ?? firstOf(replay), limit);
      const sent = await reopenEnded(tx, ids, {
        tenantId: replay.tenant_id,
        trigger: 'replay',
        askedBy: replay.asked_by,
        priority: 'low',
        endedBefore: replay.created_at_text,
      });
      await move(tx, replay, { sent: sent.length, skipped: ids.length - sent.length, next });
    }
    return findProgress(tx, id);
  });
}

/** `count` of the scanned ones match, `ids` are the first of them; after `next` there may be more. */
type Scanned = { count: number; ids: string[]; next: string | undefined };

async function scan(db: Queryable, replay: ReplayRow, after: string, limit: number): Promise<Scanned> {
  const { filter, webhook_id } = replay;
  const types = filter.event_types ? sql`and d.event_type = any(${filter.event_types}::text[])` : sql``;
  const ofWebhook = webhook_id ? sql`and d.webhook_id = ${webhook_id}` : sql``;
  const dead = filter.dead_letters ? sql`and d.failed_at is not null` : sql``;
  // With an index of its own: failures are few among what a tenant has.
  const failed = filter.states.every((state) => state === 'failed') ? sql`and d.failed_because is not null` : sql``;
  const untilMs = Date.parse(filter.until);
  const byEnd = filter.by === 'ended';
  const ended = byEnd ? sql`and d.ended_at >= ${new Date(filter.since)} and d.ended_at < ${new Date(untilMs)}` : sql``;
  const { rows } = await sql<{ seen: number; last: string | null; count: number; ids: string[] }>`
    with scanned as materialized (
      select d.id, d.state = any(${filter.states}::text[])
        and d.ended_at < ${replay.created_at_text}::timestamptz ${types} ${ended} as matches
      from deliveries d
      where d.tenant_id = ${replay.tenant_id} and d.id > ${after}
        and d.id < ${byEnd ? uuidAboveEnded(untilMs) : uuidFloor(untilMs)} ${ofWebhook} ${dead} ${failed}
      order by d.id limit ${SCAN}::int)
    select (select count(*)::int from scanned) as seen, (select id from scanned order by id desc limit 1) as last,
      (select count(*)::int from scanned where matches) as count,
      array(select id from scanned where matches order by id limit ${limit}::int) as ids`.execute(db);
  const { seen, last, count, ids } = rows[0]!;
  if (limit > 0 && count > ids.length) return { count, ids, next: ids.at(-1) };
  return { count, ids, next: seen === SCAN && last ? last : undefined };
}

/** What matched when it was counted and was not sent by the end was skipped, whatever has become of it. */
async function move(tx: Tx, { id }: ReplayRow, page: { sent: number; skipped: number; next: string | undefined }) {
  const { sent, skipped, next = null } = page;
  await sql`
    update replays set position = coalesce(${next}::uuid, position), sent = sent + ${sent}::int,
      skipped = case when ${next}::uuid is null then greatest(coalesce(total, 0) - sent - ${sent}::int, 0)
        else skipped + ${skipped}::int end,
      state = case when ${next}::uuid is null then 'completed' else state end,
      ended_at = case when ${next}::uuid is null then now() end,
      updated_at = now()
    where id = ${id} and state = 'running'`.execute(tx);
}

const selectReplay = (db: Queryable, id: string) =>
  db.selectFrom('replays').selectAll().select(sql<string>`created_at::text`.as('created_at_text')).where('id', '=', id);

/** What ended since a time may have been published long before it. */
const firstOf = ({ filter }: ReplayRow) => uuidFloor(filter.by === 'ended' ? 0 : Date.parse(filter.since));
