import { openPool } from '../src/db/guarded-pool';
import { parsePublicId, uuidFloor } from '../src/domain/ids';
import { MARK } from './mark';

/** What a scenario asks of the database, because only Posthorn's own record can tell. Webhooks by their public id. */
export type Database = {
  /** Deliveries that are not over, of these webhooks or of all. */
  queued(webhooks?: readonly string[]): Promise<number>;
  /** Of those, the ones that an attempt holds. */
  underWay(webhooks: readonly string[]): Promise<number>;
  /** Deliveries recorded as delivered. */
  delivered(webhooks: readonly string[]): Promise<number>;
  /** The events of a type by their mark: for each one stored, how many deliveries of it wait in the queue. */
  events(type: string): Promise<Map<string, number[]>>;
  /** Deliveries by the mode that ended them, of events of this type made from `sinceMs` (Unix) on. */
  modes(type: string, sinceMs: number): Promise<Record<string, number>>;
  /** Deliveries that wait for a retry. */
  retrying(): Promise<number>;
  version(): Promise<string>;
  close(): Promise<void>;
};

/** Another sender's record is its own affair: only what arrived counts. */
export const NO_DATABASE: Database = {
  queued: async () => 0,
  underWay: async () => 0,
  delivered: async () => Number.NaN,
  events: async () => new Map(),
  modes: async () => ({}),
  retrying: async () => 0,
  version: async () => 'unknown',
  close: async () => undefined,
};

export function openDatabase(url: string): Database {
  const pool = openPool({ connectionString: url, max: 1 });
  const count = async (from: string, webhooks?: readonly string[]): Promise<number> => {
    const ids = webhooks?.map((id) => parsePublicId('webhook', id));
    const { rows } = await pool.query<{ n: number }>(
      `select count(*)::int as n from ${from} and ($1::uuid[] is null or webhook_id = any($1))`,
      [ids ?? null],
    );
    return rows[0]!.n;
  };
  return {
    queued: (webhooks) => count('delivery_queue where true', webhooks),
    underWay: (webhooks) => count('delivery_queue where lease_until > now()', webhooks),
    delivered: (webhooks) => count(`deliveries where state = 'delivered'`, webhooks),
    async events(type) {
      const { rows } = await pool.query<{ mark: string; times: number[] }>(
        `with queued as (select event_id, count(*)::int as n from delivery_queue where event_type = $1 group by event_id)
         select substring(convert_from(e.body, 'UTF8') from $2) as mark, array_agg(coalesce(q.n, 0)) as times
         from events e left join queued q on q.event_id = e.id where e.type = $1 group by 1`,
        [type, MARK.source],
      );
      return new Map(rows.map(({ mark, times }) => [mark, times]));
    },
    async modes(type, sinceMs) {
      const { rows } = await pool.query<{ mode: string | null; n: number }>(
        'select mode, count(*)::int as n from deliveries where event_type = $1 and id >= $2 group by 1',
        [type, uuidFloor(sinceMs)],
      );
      return Object.fromEntries(rows.map(({ mode, n }) => [mode ?? 'none', n]));
    },
    retrying: () => count('delivery_queue where timed'),
    version: async () => (await pool.query<{ server_version: string }>('show server_version')).rows[0]!.server_version,
    close: () => pool.end(),
  };
}
