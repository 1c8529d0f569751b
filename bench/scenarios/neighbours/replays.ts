import { type Neighbour, times } from './neighbour';
import { since, storeDeliveries } from './store-deliveries';

/** More than a tenant may have. */
const REPLAYS = 60;
const DELIVERIES = 50_000;

type Answer = { id: string };

/** B6: very many bulk replays at once, of deliveries to a webhook that is paused. */
export const replays: Neighbour = {
  name: 'B6.replays',
  about: `${REPLAYS} bulk replays at once, over ${DELIVERIES} failed deliveries`,
  async prepare({ machine, rig, tenant }) {
    const [webhook] = await tenant.webhooks(1, () => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['replays.event'], active: false },
    }));
    await storeDeliveries(tenant, { webhook: webhook!, deliveries: DELIVERIES, every: 1, type: 'replays.event' });
    const path = `/webhooks/${webhook}/replay`;
    const body = { since: since(), rate_limit: '20/1s' };
    return async () => {
      const asked = await Promise.all(
        // Where there are too many, the others will do.
        times(REPLAYS, () => tenant.call<Answer>('POST', path, body).catch(() => undefined)),
      );
      const requests = [{ method: 'GET' as const, path: '/replays?limit=200' }];
      await machine('request', { url: rig.apiUrl, key: tenant.key, requests, connections: 2, perSecond: 10 });
      return async () => {
        await machine('end');
        const cancel = ({ id }: Answer) => tenant.call('POST', `/replays/${id}/cancel`, {}).catch(() => undefined);
        await Promise.all(asked.flatMap((one) => (one ? [cancel(one)] : [])));
      };
    };
  },
};
