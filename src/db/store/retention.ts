import { sql } from 'kysely';
import { uuidFloor } from '../../domain/ids';
import type { Queryable } from '../database';

/** How long what is only kept for people to look at is kept, milliseconds. */
export type KeptFor = { auditLogMs: number; replaysMs: number };

/**
 * Deletes up to `batch` lines of the audit log that are older, and as many bulk replays that ended before; how many, and
 * whether there may be more. Ids begin with their time, so the oldest rows are the first of the primary key.
 */
export async function trimLogs(
  db: Queryable,
  { auditLogMs, replaysMs }: KeptFor,
  batch: number,
  nowMs: number = Date.now(),
): Promise<{ forgotten: number; more: boolean }> {
  const lines = await deleted(
    sql`
    delete from audit_log where id in (
      select id from audit_log where id < ${uuidFloor(nowMs - auditLogMs)}
      order by id limit ${batch}::int for update skip locked)`.execute(db),
  );
  const endedBeforeMs = nowMs - replaysMs;
  // By their end: one may run for longer than it is kept. None ends before it began, so the key leaves out the newer ones.
  const replays = await deleted(
    sql`
    delete from replays where id in (
      select id from replays
      where id < ${uuidFloor(endedBeforeMs)} and state <> 'running' and ended_at < ${new Date(endedBeforeMs)}
      order by id limit ${batch}::int for update skip locked)`.execute(db),
  );
  return { forgotten: lines + replays, more: lines === batch || replays === batch };
}

const deleted = async (result: Promise<{ numAffectedRows?: bigint }>) => Number((await result).numAffectedRows ?? 0n);
