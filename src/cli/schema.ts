import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openDatabase } from '../db/database';
import { migrateToLatest } from '../db/migrate';
import { dumpSchema } from '../db/schema-dump';
import { installationDir } from '../embedded/installation-dir';
import { startPostgres } from '../embedded/postgres';

/** `posthorn schema [--check]`: migrations/schema.sql is what the migrations make, for people to read. */
export async function runSchema({ check }: { check?: boolean }): Promise<void> {
  const file = path.join(installationDir(), 'migrations', 'schema.sql');
  const postgres = await startPostgres({ ephemeral: true });
  const db = openDatabase({
    url: postgres.url,
    poolSize: 1,
    applicationName: 'posthorn-schema',
    planner: 'default',
  });
  try {
    await migrateToLatest(postgres.url);
    const dump = await dumpSchema(db.pool);
    if (!check) return await writeFile(file, dump);
    if (dump !== (await readFile(file, 'utf8').catch(() => ''))) {
      throw new Error('migrations/schema.sql is not what the migrations make: run `npm run schema` and commit it.');
    }
  } finally {
    await db.close();
    await postgres.stop();
  }
}
