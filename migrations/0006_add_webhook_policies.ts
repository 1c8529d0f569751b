import { type Kysely, sql } from 'kysely';

/**
 * What a webhook may ask for beyond its URL, and the state of its gate. The gate holds the settings that the claim and
 * the recorder need, so that neither has to join for them.
 *
 * `slot_*`: the one delivery that may be under way, of an ordered webhook or as the probe of a half-open breaker.
 * `breaker_until`: null is closed, a time to come is open, a time past is half-open.
 * `failures`: attempts in a row that failed since `failures_since`; `failed_in_a_row` counts deliveries.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table webhooks
      add column signature_styles text[] not null default '{standard,x-webhook}',
      add column sealed_headers text,
      add column header_names text[] not null default '{}',
      add column rate_limit text`.execute(db);
  await sql`alter table webhook_gates rename column fifo_delivery_id to slot_delivery_id`.execute(db);
  await sql`alter table webhook_gates rename column fifo_until to slot_until`.execute(db);
  await sql`
    alter table webhook_gates
      alter column max_in_flight drop not null,
      alter column max_in_flight drop default,
      add column adaptive_cap int check (adaptive_cap > 0),
      add column status_reason text,
      add column status_since timestamptz not null default now(),
      add column breaker_threshold int default 10 check (breaker_threshold > 0),
      add column breaker_window_ms int not null default 60000 check (breaker_window_ms > 0),
      add column breaker_open_ms int not null default 30000 check (breaker_open_ms > 0),
      add column breaker_until timestamptz,
      add column failures int not null default 0,
      add column failures_since timestamptz,
      add column failing_since timestamptz,
      add column last_failure_at timestamptz,
      add column failed_in_a_row int not null default 0,
      add column disable_after_failed int default 10 check (disable_after_failed > 0),
      add column disable_after_ms bigint default 432000000 check (disable_after_ms > 0)`.execute(db);
  // Nobody could set it before: these are all the old default.
  await sql`update webhook_gates set max_in_flight = null`.execute(db);
  await sql`alter table webhook_gates add check (max_in_flight > 0)`.execute(db);
  await sql`alter table attempts add column response_cut text`.execute(db);
}
