import type { Pool } from 'pg';
import { uuidFloor } from '../domain/ids';

/** How long what is only kept for people to look at is kept, milliseconds. */
export type KeptFor = { auditLogMs: number; replaysMs: number };

/** Ids begin with their time, so the oldest rows are the first of the primary key. */
const TRIM = (table: 'audit_log' | 'replays', condition: string) => `
  delete from ${table} where id in (
    select id from ${table} where id < $1 and ${condition} order by id limit $2 for update skip locked)`;

const AUDIT_LOG = TRIM('audit_log', 'true');
const REPLAYS = TRIM('replays', `state <> 'running'`);

/** Deletes up to `batch` lines of the audit log and ended bulk replays that are older; how many, and whether there may be more. */
export async function trimLogs(
  db: Pick<Pool, 'query'>,
  { auditLogMs, replaysMs }: KeptFor,
  batch: number,
  nowMs: number = Date.now(),
): Promise<{ forgotten: number; more: boolean }> {
  const lines = (await db.query(AUDIT_LOG, [uuidFloor(nowMs - auditLogMs), batch])).rowCount ?? 0;
  const replays = (await db.query(REPLAYS, [uuidFloor(nowMs - replaysMs), batch])).rowCount ?? 0;
  return { forgotten: lines + replays, more: lines === batch || replays === batch };
}
