import { Kysely, Migrator } from 'kysely';
import type { Pool } from 'pg';
import { migrations } from '../../migrations';
import { openPool } from './guarded-pool';
import { GuardedDialect } from './kysely-driver';
import { ensurePartitions } from './partitions';

/** The database holds migrations that this version does not know: it was migrated by a newer one. */
export class NewerDatabaseError extends Error {
  constructor(readonly unknown: string[]) {
    super(
      `This database was migrated by a newer version of Posthorn (it has ${unknown.join(', ')}). ` +
        'Start that version, or restore a backup made before the upgrade.',
    );
    this.name = 'NewerDatabaseError';
  }
}

/** Migrations may build indexes; an hour is beyond anything they should take. */
const MIGRATION_TIMEOUT_MS = 3_600_000;

/**
 * Brings a database to the newest schema and makes its partitions. May be run at any time and by several processes
 * at once: kysely's migrator holds a lock. Returns the names of the migrations it ran.
 * @throws NewerDatabaseError if the database is ahead of this code
 */
export async function migrateToLatest(url: string): Promise<string[]> {
  const pool = openPool({
    connectionString: url,
    max: 2,
    connectionTimeoutMillis: 10_000,
    statement_timeout: MIGRATION_TIMEOUT_MS,
    application_name: 'posthorn-migrate',
  });
  // A connection that is lost fails its statement; without a listener, the event would end the process instead.
  pool.on('error', () => undefined);
  const db = new Kysely<unknown>({ dialect: new GuardedDialect(pool) });
  try {
    await refuseNewer(pool);
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error, results } = await migrator.migrateToLatest();
    if (error) throw error;
    await ensurePartitions(pool, Date.now());
    return (results ?? []).filter((r) => r.status === 'Success').map((r) => r.migrationName);
  } finally {
    await pool.end();
  }
}

/** Fails unless the database has exactly the migrations of this version; for processes that do not migrate. */
export async function assertMigrated(pool: Pool): Promise<void> {
  await refuseNewer(pool);
  const have = new Set(await appliedMigrations(pool));
  const missing = Object.keys(migrations).filter((name) => !have.has(name));
  if (missing.length > 0) {
    throw new Error(`The database lacks the migrations ${missing.join(', ')}: run \`posthorn migrate\` first.`);
  }
}

async function refuseNewer(pool: Pool): Promise<void> {
  const unknown = (await appliedMigrations(pool)).filter((name) => !(name in migrations));
  if (unknown.length > 0) throw new NewerDatabaseError(unknown);
}

async function appliedMigrations(pool: Pool): Promise<string[]> {
  const exists = await pool.query<{ found: boolean }>(`select to_regclass('kysely_migration') is not null as found`);
  if (!exists.rows[0]?.found) return [];
  const rows = await pool.query<{ name: string }>('select name from kysely_migration order by name');
  return rows.rows.map((row) => row.name);
}
