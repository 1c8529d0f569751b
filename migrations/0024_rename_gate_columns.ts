import { type Kysely, sql } from 'kysely';

/** Columns of a gate by what they are: when its rate limit passes the next attempt (GCRA), and what its status counts. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table webhook_gates rename column tat to rate_next_at`.execute(db);
  await sql`alter table webhook_gates rename column moves to status_version`.execute(db);
}
