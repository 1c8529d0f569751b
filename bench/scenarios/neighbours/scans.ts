import type { Asked } from '../../neighbour';
import type { Neighbour } from './neighbour';
import { since, storeDeliveries } from './store-deliveries';

const DELIVERIES = 300_000;
/** One delivery in so many is what is looked for. */
const EVERY = 50_000;
const CONNECTIONS = 8;

/** B6: lists with filters that almost nothing in very much of a tenant's own passes. */
export const scans: Neighbour = {
  name: 'B6.scans',
  about: `${CONNECTIONS} connections that list what is rare among ${DELIVERIES} deliveries`,
  async prepare({ rig, machine, tenant }) {
    const [webhook] = await tenant.webhooks(1, () => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['scans.usual'], active: false },
    }));
    const types = { type: 'scans.usual', rare: 'scans.rare' };
    await storeDeliveries(tenant, { webhook: webhook!, deliveries: DELIVERIES, every: EVERY, ...types });
    const from = `limit=200&since=${since()}`;
    const requests = [
      'status=failed',
      'event_type=scans.rare',
      'status=cancelled',
      'status=failed&event_type=scans.rare',
    ]
      .map((filter): Asked => ({ method: 'GET', path: `/deliveries?${filter}&${from}` }))
      .concat({ method: 'GET', path: `/dead-letters?${from}` });
    return async () => {
      const load = { requests, connections: CONNECTIONS, perSecond: 200 };
      await machine('request', { url: rig.apiUrl, key: tenant.key, ...load });
      return () => machine('end');
    };
  },
};
