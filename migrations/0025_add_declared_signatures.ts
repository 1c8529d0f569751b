import { type Kysely, sql } from 'kysely';

/**
 * When the styles that carry one signature change to a secret; null: when it was made. New columns without a default, so
 * that no row is rewritten.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table webhook_secrets add column switch_at timestamptz`.execute(db);
}
