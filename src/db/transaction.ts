import type { Pool, PoolClient } from 'pg';
import { OutcomeUnknownError, wasRefused } from './statement-errors';

/**
 * The one place where transactions begin and end, kysely's too (./kysely-driver.ts). If something fails in
 * between, it is rolled back; if the rollback fails, the connection is closed (./guarded-pool.ts), which rolls back too.
 */

type Connection = Pick<PoolClient, 'query'>;

/** Runs `work` with a connection of its own, and releases it. */
export async function withConnection<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } finally {
    client.release();
  }
}

/**
 * Runs `work` in a transaction on this connection, which must be in none.
 * @throws OutcomeUnknownError if the answer to COMMIT is lost; what `work` throws, after the rollback
 */
export async function inTransaction<T>(client: Connection, work: () => Promise<T>): Promise<T> {
  await begin(client);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await rollback(client);
    throw error;
  }
  await commit(client);
  return result;
}

export async function begin(client: Connection, how = 'begin'): Promise<void> {
  await client.query(how);
}

/** @throws OutcomeUnknownError, or Postgres' own error if it has refused and rolled back */
export async function commit(client: Connection): Promise<void> {
  const { command } = await client.query('commit').catch((error: unknown) => {
    throw wasRefused(error) ? error : new OutcomeUnknownError(error);
  });
  // COMMIT of a transaction in which a statement was refused answers without an error, and rolls back.
  if (command !== 'COMMIT') throw new Error(`A transaction was rolled back instead of committed (${command}).`);
}

/** Never fails: if it does not reach the server, closing the connection rolls back. */
export async function rollback(client: Connection): Promise<void> {
  await client.query('rollback').catch(() => undefined);
}
