import { type Kysely, sql } from 'kysely';

/**
 * How a webhook's receiver gets the bodies. `envelope` is null for the standard one, and of type json, which keeps the order
 * of the members. `attempts.sent_as` says how an attempt's body was made, if it was not the event's own bytes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table webhooks
      add column body_format text not null default 'exact' check (body_format in ('exact', 'compact', 'javascript')),
      add column envelope json`.execute(db);
  await sql`alter table attempts add column sent_as json`.execute(db);
}
