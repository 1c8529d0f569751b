import { type Neighbour, times } from './neighbour';
import { uuidOf } from './tenant';

/** More than a tenant may have. */
const REPLAYS = 60;
const DELIVERIES = 50_000;
const AGE_MS = 3_600_000;

const STORE = `
insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, ended_at, failed_at, failed_because)
select i, $1, i, $2, 'replays.event', 'failed', 1, now(), now(), 'exhausted'
from generate_series(0, $4 - 1) n, lateral (
  select (lpad(to_hex($3::bigint + n), 12, '0') || '70008000000000000000')::uuid) u (i)`;

type Answer = { id: string };

/** B6: very many bulk replays at once, of deliveries to a webhook that is paused. */
export const replays: Neighbour = {
  name: 'B6.replays',
  about: `${REPLAYS} bulk replays at once, over ${DELIVERIES} failed deliveries`,
  async prepare({ machine, rig, tenant }) {
    const [webhook] = await tenant.webhooks(1, () => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['replays.event'], active: false },
    }));
    await tenant.pool.query(STORE, [tenant.id, uuidOf(webhook!), Date.now() - AGE_MS, DELIVERIES]);
    const path = `/webhooks/${webhook}/replay`;
    const body = { since: new Date(Date.now() - 2 * AGE_MS).toISOString(), rate_limit: '20/1s' };
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
