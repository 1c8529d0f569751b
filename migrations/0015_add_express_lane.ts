import { type Kysely, sql } from 'kysely';

/**
 * Who makes a webhook's attempts (null: what the installation says), which lane has claimed a row, and which one ended a
 * delivery. `delivery_queue.express` with a lease that runs means that no workflow may attempt it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table webhook_gates
      add column first_attempt text check (first_attempt in ('workflow', 'express', 'auto'))`.execute(db);
  await sql`alter table delivery_queue add column express boolean not null default false`.execute(db);
  await sql`alter table deliveries add column lane text`.execute(db);
}
