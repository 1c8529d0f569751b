import { type Kysely, sql } from 'kysely';

/**
 * What was written, as it was written: the headers of an answer that is kept for repetitions, and the text of schemas and
 * examples, whose numbers jsonb's readers round. Absent in rows that are older.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table idempotent_requests add column headers jsonb`.execute(db);
  await sql`alter table event_type_versions add column schema_text text, add column example_text text`.execute(db);
}
