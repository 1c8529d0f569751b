import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  PostgresDialect,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import type { Pool, PoolClient } from 'pg';
import { begin, commit, rollback } from './transaction';

/**
 * Kysely over a guarded pool. Kysely's own driver returns a connection to the pool whether or not its statements failed,
 * takes any answer to COMMIT for a commit, and waits for the ROLLBACK of a connection that does not answer.
 */
export class GuardedDialect extends PostgresDialect {
  constructor(private readonly pool: Pool) {
    super({ pool });
  }

  override createDriver(): Driver {
    return new PoolDriver(this.pool);
  }
}

class PoolDriver implements Driver {
  constructor(private readonly pool: Pool) {}

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Connection> {
    return new Connection(await this.pool.connect());
  }

  async beginTransaction({ client }: Connection, { isolationLevel, accessMode }: TransactionSettings): Promise<void> {
    const how = ['begin', isolationLevel && `isolation level ${isolationLevel}`, accessMode];
    await begin(client, how.filter(Boolean).join(' '));
  }

  async commitTransaction({ client }: Connection): Promise<void> {
    await commit(client);
  }

  async rollbackTransaction({ client }: Connection): Promise<void> {
    await rollback(client);
  }

  async releaseConnection({ client }: Connection): Promise<void> {
    client.release();
  }

  /** Who opened the pool closes it. */
  async destroy(): Promise<void> {}
}

const COUNTED = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

class Connection implements DatabaseConnection {
  constructor(readonly client: PoolClient) {}

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { command, rowCount, rows } = await this.client.query(sql, [...parameters]);
    return { ...(COUNTED.has(command) && { numAffectedRows: BigInt(rowCount ?? 0) }), rows: rows ?? [] };
  }

  // biome-ignore lint/correctness/useYield: there is nothing to stream with
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error('Rows are not streamed here.');
  }
}
