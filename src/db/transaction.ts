import type { Pool, PoolClient } from 'pg';
import { OutcomeUnknownError, wasRefused } from './statement-errors';

/**
 * The one place where transactions begin and end, kysely's too (./kysely-driver.ts). What fails in between is taken back;
 * where even that does not work, the connection is not used again (./guarded-pool.ts) and its end takes it back.
 */

type Connection = Pick<PoolClient, 'query'>;

/** Does something with a connection of its own, and gives it back. */
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
 * @throws OutcomeUnknownError if the answer to COMMIT is lost; what `work` throws, once that was taken back
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

/** @throws OutcomeUnknownError, or Postgres' own error if it has refused and taken everything back */
export async function commit(client: Connection): Promise<void> {
  const { command } = await client.query('commit').catch((error: unknown) => {
    throw wasRefused(error) ? error : new OutcomeUnknownError(error);
  });
  // A transaction in which a statement was refused ends without an error, and undone.
  if (command !== 'COMMIT') throw new Error(`A transaction was taken back instead of committed (${command}).`);
}

/** Never fails: where the server does not hear of it, it takes back what the connection leaves open. */
export async function rollback(client: Connection): Promise<void> {
  await client.query('rollback').catch(() => undefined);
}
