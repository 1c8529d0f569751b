import type { Pool } from 'pg';
import { uuidFloor } from '../domain/ids';

/** How long what is only kept for people to look at is kept, milliseconds. */
export type KeptFor = { auditLogMs: number; replaysMs: number };

/** Ids begin with their time, so the oldest rows are the first of the primary key. */
const AUDIT_LOG = `
  delete from audit_log where id in (
    select id from audit_log where id < $1 order by id limit $2 for update skip locked)`;
/** By their end: one may run for longer than it is kept. None ends before it began, so the key leaves out the newer ones. */
const REPLAYS = `
  delete from replays where id in (
    select id from replays where id < $1 and state <> 'running' and ended_at < $3
    order by id limit $2 for update skip locked)`;

/**
 * Deletes up to `batch` lines of the audit log that are older, and as many bulk replays that ended before; how many, and
 * whether there may be more.
 */
export async function trimLogs(
  db: Pick<Pool, 'query'>,
  { auditLogMs, replaysMs }: KeptFor,
  batch: number,
  nowMs: number = Date.now(),
): Promise<{ forgotten: number; more: boolean }> {
  const lines = (await db.query(AUDIT_LOG, [uuidFloor(nowMs - auditLogMs), batch])).rowCount ?? 0;
  const endedBeforeMs = nowMs - replaysMs;
  const replays = (await db.query(REPLAYS, [uuidFloor(endedBeforeMs), batch, new Date(endedBeforeMs)])).rowCount ?? 0;
  return { forgotten: lines + replays, more: lines === batch || replays === batch };
}
