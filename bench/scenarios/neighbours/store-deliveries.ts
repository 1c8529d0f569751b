import { type Tenant, uuidOf } from './tenant';

/** What is stored: so many deliveries to a webhook, a millisecond between two of them. */
export type Stored = {
  webhook: string;
  deliveries: number;
  /** One in so many has failed; the next one is of the type `rare`. */
  every: number;
  type: string;
  rare?: string;
};

/** Age of the first one. */
const AGE_MS = 3_600_000;
/** Goes before all of them. */
export const since = () => new Date(Date.now() - 2 * AGE_MS).toISOString();

const STORE = `
insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, ended_at, failed_at, failed_because)
select i, $1, i, $2, case when n % $5 = 1 then $7 else $6 end,
  case when n % $5 = 0 then 'failed' else 'delivered' end, 1, now(),
  case when n % $5 = 0 then now() end, case when n % $5 = 0 then 'exhausted' end
from generate_series($8::int, $4::int - 1) n, lateral (
  select (lpad(to_hex($3::bigint + n), 12, '0') || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid) u (i)`;

/** In one statement, whose time is limited. */
const AT_ONCE = 20_000;

/** Without the time that it would take to publish and deliver them. */
export async function storeDeliveries(tenant: Tenant, stored: Stored): Promise<void> {
  const { webhook, deliveries, every, type, rare = type } = stored;
  const firstMs = Date.now() - AGE_MS;
  for (let from = 0; from < deliveries; from += AT_ONCE) {
    const to = Math.min(deliveries, from + AT_ONCE);
    await tenant.pool.query(STORE, [tenant.id, uuidOf(webhook), firstMs, to, every, type, rare, from]);
  }
}
