import { type Kysely, sql } from 'kysely';

/**
 * What has become of an operational event that could not be published: `tries` that failed by its own fault, the next one
 * at `next_try_at`, and `set_aside_at` once there will be no more. Rows are looked for by tenant, so that each has its turn.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table operational_outbox
      add column tries int not null default 0,
      add column next_try_at timestamptz not null default 'epoch',
      add column failing_since timestamptz,
      add column error_code text,
      add column set_aside_at timestamptz`.execute(db);
  await sql`drop index operational_outbox_age`.execute(db);
  await sql`
    create index operational_outbox_due on operational_outbox (tenant_id, next_try_at, created_at)
    where set_aside_at is null`.execute(db);
  await sql`
    create index operational_outbox_aside on operational_outbox (set_aside_at)
    where set_aside_at is not null`.execute(db);
}
