import type { Asked } from '../../neighbour';
import type { Neighbour } from './neighbour';
import { uuidOf } from './tenant';

const DELIVERIES = 300_000;
/** One delivery in so many is what is looked for. */
const EVERY = 50_000;
const CONNECTIONS = 8;
/** Of this age, a millisecond between two of them. */
const AGE_MS = 3_600_000;

const STORE = `
insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, ended_at, failed_at, failed_because)
select i, $1, i, $2, case when n % $5 = 1 then 'scans.rare' else 'scans.usual' end,
  case when n % $5 = 2 then 'failed' else 'delivered' end, 1, now(),
  case when n % $5 = 2 then now() end, case when n % $5 = 2 then 'exhausted' end
from generate_series(0, $4 - 1) n, lateral (
  select (lpad(to_hex($3::bigint + n), 12, '0') || '70008000000000000000')::uuid) u (i)`;

/** B6: lists with filters that almost nothing in very much of a tenant's own passes. */
export const scans: Neighbour = {
  name: 'B6.scans',
  about: `${CONNECTIONS} connections that list what is rare among ${DELIVERIES} deliveries`,
  async prepare({ rig, machine, tenant }) {
    const [webhook] = await tenant.webhooks(1, () => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['scans.usual'], active: false },
    }));
    await tenant.pool.query(STORE, [tenant.id, uuidOf(webhook!), Date.now() - AGE_MS, DELIVERIES, EVERY]);
    const since = `since=${new Date(Date.now() - 2 * AGE_MS).toISOString()}`;
    const requests = ['state=failed', 'event_type=scans.rare', 'state=cancelled', 'state=failed&event_type=scans.usual']
      .map((filter): Asked => ({ method: 'GET', path: `/deliveries?${filter}&limit=200&${since}` }))
      .concat({ method: 'GET', path: `/dead-letters?limit=200&${since}` });
    return async () => {
      const load = { requests, connections: CONNECTIONS, perSecond: 200 };
      await machine('request', { url: rig.apiUrl, key: tenant.key, ...load });
      return () => machine('end');
    };
  },
};
