import { Kysely, type Transaction } from 'kysely';
import { type Pool, type PoolClient, types } from 'pg';
import { openPool } from './guarded-pool';
import { GuardedDialect } from './kysely-driver';
import type { Tables } from './tables';

/** A transaction, and what takes either that or the whole database. */
export type Tx = Transaction<Tables>;
export type Queryable = Kysely<Tables>;

/** Both ways to ask: kysely for what people read, named statements on the pool for the hot path. */
export type Database = {
  readonly pool: Pool;
  readonly kysely: Kysely<Tables>;
  close(): Promise<void>;
};

export type DatabaseOptions = {
  url: string;
  /** Connections this process may hold. */
  poolSize: number;
  /** Of these, how many are opened at once and kept: a login costs both sides some 10 ms of a core. */
  keptOpen?: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /**
   * `queue` leaves index scans and nested loops only: the claim and the load touch a handful of rows by key, and
   * a plan that is made while the queue is empty would otherwise read all of it, and keep doing so when it is full. And one
   * plan for all values: planning the claim anew each time costs more than running it.
   */
  planner: 'default' | 'queue';
  /** A statement that runs longer is cancelled, milliseconds. */
  statementTimeoutMs?: number;
  onError?: (error: Error) => void;
};

/** A connection that does not come within this time counts as an unreachable database. */
const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 300_000;
const OFF_FOR_QUEUE = ['hashjoin', 'mergejoin', 'seqscan', 'bitmapscan'];

// bigint columns here are sequences and counts far below 2^53.
types.setTypeParser(types.builtins.INT8, Number);

/** Opens a pool; nothing connects before the first query, but for what is to be kept open. */
export function openDatabase(options: DatabaseOptions): Database {
  const settings = [
    '-c idle_in_transaction_session_timeout=30s',
    ...(options.planner === 'queue'
      ? [...OFF_FOR_QUEUE.map((way) => `-c enable_${way}=off`), '-c plan_cache_mode=force_generic_plan']
      : []),
  ];
  const pool = openPool({
    connectionString: options.url,
    max: options.poolSize,
    min: options.keptOpen ?? 0,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
    // A server that died without a word would otherwise hold a query for ever.
    query_timeout: (options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS) + 2_000,
    keepAlive: true,
    // A new connection costs a login and all its prepared statements: keep those of the last busy minutes.
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    options: settings.join(' '),
  });
  pool.on('error', (error) => options.onError?.(error));
  void openAhead(pool, options.keptOpen ?? 0);
  const kysely = new Kysely<Tables>({ dialect: new GuardedDialect(pool) });
  return { pool, kysely, close: () => pool.end() };
}

/** One login after the other: many at once, under load, would delay every statement. Never rejects. */
async function openAhead(pool: Pool, count: number): Promise<void> {
  const opened: PoolClient[] = [];
  try {
    while (opened.length < count) opened.push(await pool.connect());
  } catch {
    // The next statement that needs a connection fails with the reason.
  }
  for (const client of opened) client.release();
}
