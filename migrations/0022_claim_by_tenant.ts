import { type Kysely, sql } from 'kysely';

/** The claim takes turns by tenant first, then by webhook (decision 33): its index does as well. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index delivery_queue_tenants on delivery_queue (lane, tenant_id, webhook_id, seq) where not timed`.execute(
    db,
  );
  await sql`drop index delivery_queue_lanes`.execute(db);
}
