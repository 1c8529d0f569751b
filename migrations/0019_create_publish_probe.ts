import { type Kysely, sql } from 'kysely';

/**
 * One row, which api processes write to find out whether this database takes writes. The room on its page holds the
 * versions that a write leaves behind, until the next one clears them away.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table publish_probe (
      only_row boolean primary key default true check (only_row),
      probed_at timestamptz not null default now()
    ) with (fillfactor = 10)`.execute(db);
  await sql`insert into publish_probe default values`.execute(db);
}
