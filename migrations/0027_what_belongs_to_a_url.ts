import { type Kysely, sql } from 'kysely';

/**
 * What a gate needs to tell attempts apart: those of the URL that it has from those of an earlier one (`url_changes`), and
 * repetitions of a delivery that was counted already. `failed_since`: the first of its failed deliveries in a row. Of a
 * queue row: when an attempt of it last failed, and when it had failed for good before it was started anew.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table webhook_gates
      add column url_changes int not null default 0,
      add column failed_since timestamptz`.execute(db);
  await sql`
    alter table delivery_queue
      add column attempt_failed_at timestamptz,
      add column failed_at timestamptz`.execute(db);
}
