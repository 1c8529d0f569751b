import { type Kysely, sql } from 'kysely';

/**
 * Lists of failed deliveries read these and no others. `failed_because` is set by a failure alone: a delivery that
 * succeeds never touches this index, and its update stays on its page (HOT). And the replays that a tenant has running are counted.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index deliveries_failed on deliveries (tenant_id, id) where failed_because is not null`.execute(db);
  await sql`create index replays_running_tenant on replays (tenant_id) where state = 'running'`.execute(db);
}
