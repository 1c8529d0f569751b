import { type Kysely, sql } from 'kysely';

/**
 * A webhook's own way to sign; null: none. And when the styles that carry one signature change to a secret; null: when it was made. New columns without a default, so
 * that no row is rewritten.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table webhooks add column signature jsonb`.execute(db);
  await sql`alter table webhook_secrets add column switch_at timestamptz`.execute(db);
}
