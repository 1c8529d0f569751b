import { type Kysely, sql } from 'kysely';

/**
 * Statistics of columns that nothing is looked up by, in the partitions that exist (new ones are made without), and of
 * the queue, whose statements are planned without regard to them: gathering them took a quarter of the server's time
 * while it delivered thousands a second.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare partition record;
    begin
      for partition in
        select inhrelid::regclass as name, a.attname as column_name
        from pg_inherits join pg_attribute a on a.attrelid = inhrelid
        where (inhparent = 'events'::regclass and a.attname = 'body')
          or (inhparent = 'attempts'::regclass and a.attname in ('request_headers', 'response_headers', 'response_body'))
      loop
        execute format('alter table %s alter column %I set statistics 0', partition.name, partition.column_name);
      end loop;
    end $$`.execute(db);
  await sql`
    alter table delivery_queue set (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 200000)`.execute(
    db,
  );
}
