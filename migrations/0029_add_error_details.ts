import { type Kysely, sql } from 'kysely';

/** What is known of an attempt's error beyond its code: the library's own code, the certificate at fault. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table attempts add column error_details jsonb`.execute(db);
}
