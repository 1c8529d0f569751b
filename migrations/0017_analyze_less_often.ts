import { type Kysely, sql } from 'kysely';

/**
 * Partitions that exist are analyzed once they have grown by half, as new ones are: at a tenth, one that had just been
 * begun was read every few seconds while thousands were delivered.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare partition regclass;
    begin
      for partition in select inhrelid::regclass from pg_inherits
        where inhparent in ('events'::regclass, 'deliveries'::regclass, 'attempts'::regclass)
      loop
        execute format('alter table %s set (autovacuum_analyze_scale_factor = 0.5)', partition);
      end loop;
    end $$`.execute(db);
}
