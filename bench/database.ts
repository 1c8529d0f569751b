import { Pool } from 'pg';
import { parsePublicId } from '../src/domain/ids';

/** What a scenario asks of the database, because only Posthorn's own record can tell. Webhooks by their public id. */
export type Database = {
  /** Deliveries that are not over, of these webhooks or of all. */
  queued(webhooks?: readonly string[]): Promise<number>;
  /** Of those, the ones that an attempt holds. */
  underWay(webhooks: readonly string[]): Promise<number>;
  /** Deliveries recorded as delivered. */
  delivered(webhooks: readonly string[]): Promise<number>;
  version(): Promise<string>;
  close(): Promise<void>;
};

export function openDatabase(url: string): Database {
  const pool = new Pool({ connectionString: url, max: 1 });
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
    version: async () => (await pool.query<{ server_version: string }>('show server_version')).rows[0]!.server_version,
    close: () => pool.end(),
  };
}
