import { sql } from 'kysely';
import { uuidFloor } from '../../domain/ids';
import type { Queryable } from '../database';

/** Retention of what is kept only for people to read, milliseconds. */
export type Retention = { auditLogMs: number; replaysMs: number };

/**
 * Purges up to `batch` entries of the audit log and as many ended bulk replays whose retention is over. `more`: there may
 * be more. Ids begin with their time, so the oldest rows are the first of the primary key.
 */
export async function purgeLogs(
  db: Queryable,
  { auditLogMs, replaysMs }: Retention,
  batch: number,
  nowMs: number = Date.now(),
): Promise<{ purged: number; more: boolean }> {
  const lines = await deleted(
    sql`
    delete from audit_log where id in (
      select id from audit_log where id < ${uuidFloor(nowMs - auditLogMs)}
      order by id limit ${batch}::int for update skip locked)`.execute(db),
  );
  const endedBeforeMs = nowMs - replaysMs;
  // By their end: a replay may run for longer than its retention. None ends before it began, so the key leaves out newer ones.
  const replays = await deleted(
    sql`
    delete from replays where id in (
      select id from replays
      where id < ${uuidFloor(endedBeforeMs)} and state <> 'running' and ended_at < ${new Date(endedBeforeMs)}
      order by id limit ${batch}::int for update skip locked)`.execute(db),
  );
  return { purged: lines + replays, more: lines === batch || replays === batch };
}

const deleted = async (result: Promise<{ numAffectedRows?: bigint }>) => Number((await result).numAffectedRows ?? 0n);
