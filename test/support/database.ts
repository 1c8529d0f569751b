import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

/** A database of its own for a test file, cloned from the migrated template; dropped by `drop`. */
export async function createTestDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const server = process.env.POSTHORN_TEST_DATABASE_URL!;
  const name = `test_${randomBytes(6).toString('hex')}`;
  await queryOnce(server, `create database ${name} template posthorn_template`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: async () => void (await queryOnce(server, `drop database ${name} with (force)`)),
  };
}

/** One statement over a connection of its own. */
export async function queryOnce(url: string, statement: string): Promise<any[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
