import { type Kysely, sql } from 'kysely';

/**
 * Who may send an attempt stands in the row (decision 25): the holder, a live worker, and the number that it may be
 * POSTing. A holder lives as long as its row in `lease_holders`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lease_holders (
      id integer generated always as identity primary key,
      beats bigint not null default 0,
      started_at timestamptz not null default now()
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`.execute(db);
  // Volatile: it looks anew, while all else in a statement is as old as its beginning.
  await sql`
    create function holder_lives(holder integer) returns boolean language plpgsql volatile as
    'begin return exists (select from lease_holders h where h.id = holder); end'`.execute(db);
  await sql`
    alter table delivery_queue
      add column holder integer,
      add column posting integer,
      add column posted_beat bigint,
      add column cancel_asked boolean not null default false,
      add column moves integer not null default 0`.execute(db);
  // Almost always empty: what is found here is to be ended.
  await sql`create index delivery_queue_cancel on delivery_queue (delivery_id) where cancel_asked`.execute(db);
}
