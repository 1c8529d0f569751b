import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase, Pool, PoolClient } from 'pg';
import { uuidFloor } from '../domain/ids';
import { inTransaction, withConnection } from './transaction';

/**
 * Weekly partitions of events, deliveries and attempts, made ahead of time by LIKE + ATTACH: unlike
 * CREATE … PARTITION OF, that does not wait behind readers of the parent while it holds up every publish.
 */
const TABLES = ['events', 'deliveries', 'attempts'] as const;
const WEEK_MS = 7 * 24 * 3_600_000;
/** The Unix epoch was a Thursday; weeks here begin on Monday. */
const MONDAY_MS = 4 * 24 * 3_600_000;
export const WEEKS_AHEAD = 5;
/** Statistics once a partition has grown by half: at a tenth, a new one is read every few seconds under load. */
const ANALYZE = 'autovacuum_analyze_scale_factor = 0.5';
/** A delivery is written twice: space for the second version on the page of the first spares all its indexes (HOT). */
const STORAGE: Record<(typeof TABLES)[number], string> = {
  events: ANALYZE,
  deliveries: `${ANALYZE}, fillfactor = 60`,
  attempts: ANALYZE,
};
/** Nothing is looked up by these, and gathering statistics of them took a quarter of the server's time under load. */
const WITHOUT_STATISTICS: Record<string, readonly string[]> = {
  events: ['body'],
  attempts: ['request_headers', 'response_headers', 'response_body'],
};
/** Two processes may start at once; this advisory lock makes the second wait for the first. */
const PARTITION_LOCK = 7_461_002;
/** ATTACH needs a short lock on the parent; rather than queue up behind a long reader, give up and try again. */
const LOCK_TIMEOUT = '200ms';
const ATTACH_TRIES = 50;
const LOCK_TRIES = 600;
const LOCK_RETRY_MS = 100;
/** SQLSTATE of a row for which there is no partition (and of any other check that a row fails). */
const NO_PARTITION = '23514';

/** The Monday, 00:00 UTC, of the week that holds `atMs`. */
export function weekStartMs(atMs: number): number {
  return atMs - ((((atMs - MONDAY_MS) % WEEK_MS) + WEEK_MS) % WEEK_MS);
}

function partitionName(table: string, startMs: number): string {
  return `${table}_w${new Date(startMs).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/**
 * Makes the partitions of last week (for clocks that are behind), this week and {@link WEEKS_AHEAD} more.
 * Safe to call at any time, from any number of processes. Returns how many were made.
 */
export async function ensurePartitions(pool: Pool, nowMs: number): Promise<number> {
  const first = weekStartMs(nowMs) - WEEK_MS;
  const starts = Array.from({ length: WEEKS_AHEAD + 2 }, (_, i) => first + i * WEEK_MS);
  const wanted = TABLES.flatMap((table) => starts.map((startMs) => ({ table, startMs })));
  const names = wanted.map(({ table, startMs }) => partitionName(table, startMs));
  const have = await attachedPartitions(pool, names);
  const missing = wanted.filter((_, i) => !have.has(names[i]!));
  if (missing.length === 0) return 0;

  await withConnection(pool, async (client) => {
    try {
      await lockPartitions(client);
      for (const { table, startMs } of missing) await attach(client, table, startMs);
    } finally {
      // If this fails, the connection is not used again, and its end frees the lock.
      await client.query('select pg_advisory_unlock($1)', [PARTITION_LOCK]).catch(() => undefined);
    }
  });
  return missing.length;
}

/** Runs a publish. Where its week has no partition yet, makes it and tries once more. */
export async function withPartition<T>(pool: Pool, createdAt: Date, publish: () => Promise<T>): Promise<T> {
  try {
    return await publish();
  } catch (error) {
    if ((error as { code?: string }).code !== NO_PARTITION) throw error;
    await ensurePartitions(pool, createdAt.getTime());
    return publish();
  }
}

/** Those of the named partitions that are in use. */
async function attachedPartitions(db: Pick<ClientBase, 'query'>, names: string[]): Promise<Set<string>> {
  const { rows } = await db.query<{ relname: string }>(
    `select c.relname from pg_class c join pg_inherits i on i.inhrelid = c.oid
     where c.relname = any($1) and c.relnamespace = current_schema()::regnamespace`,
    [names],
  );
  return new Set(rows.map((row) => row.relname));
}

/** Waits in short statements: a process that makes partitions beside a long reader may hold the lock for a while. */
async function lockPartitions(client: PoolClient): Promise<void> {
  for (let tries = 1; tries <= LOCK_TRIES; tries++) {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [PARTITION_LOCK]);
    if (rows[0]?.mine) return;
    await sleep(LOCK_RETRY_MS);
  }
  throw new Error('another process has been making partitions for too long');
}

async function attach(client: PoolClient, table: (typeof TABLES)[number], startMs: number): Promise<void> {
  const name = partitionName(table, startMs);
  for (let tries = 1; ; tries++) {
    try {
      return await inTransaction(client, async () => {
        await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
        const done = await attachedPartitions(client, [name]);
        if (done.has(name)) return;
        await client.query(`create table ${name} (like ${table} including all) with (${STORAGE[table]})`);
        for (const column of WITHOUT_STATISTICS[table] ?? []) {
          await client.query(`alter table ${name} alter column ${column} set statistics 0`);
        }
        await client.query(
          `alter table ${table} attach partition ${name}
           for values from ('${uuidFloor(startMs)}') to ('${uuidFloor(startMs + WEEK_MS)}')`,
        );
      });
    } catch (error) {
      const lockNotAvailable = (error as { code?: string }).code === '55P03';
      if (!lockNotAvailable || tries >= ATTACH_TRIES) throw error;
    }
  }
}

/** Weeks from now until the first one without a partition; readiness fails below 2. */
export async function weeksAhead(db: Pick<ClientBase, 'query'>, nowMs: number): Promise<number> {
  const starts = Array.from({ length: WEEKS_AHEAD + 1 }, (_, i) => weekStartMs(nowMs) + i * WEEK_MS);
  const have = await attachedPartitions(
    db,
    starts.map((startMs) => partitionName('events', startMs)),
  );
  const missing = starts.findIndex((startMs) => !have.has(partitionName('events', startMs)));
  return (missing === -1 ? starts.length : missing) - 1;
}
