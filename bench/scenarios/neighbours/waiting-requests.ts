import { remote } from '../../remote';
import type { SlowReceiverMethods } from '../../slow-receiver';
import type { Neighbour } from './neighbour';

const WEBHOOKS = 50;
const CONNECTIONS = 200;
/** What is answered 429 is asked again; so often. */
const PER_SECOND = 100;
const ANSWER_MS = 29_000;

/** B6: as many requests that wait for a verification as one key may have under way. */
export const waitingRequests: Neighbour = {
  name: 'B6.waits',
  about: `${CONNECTIONS} connections that ask for verifications and wait for them`,
  async prepare({ rig, machine, tenant }) {
    const endpoint = remote<SlowReceiverMethods>(rig.start('slow-receiver').child);
    const url = await endpoint('listen');
    const webhooks = await tenant.webhooks(WEBHOOKS, (n) => ({ url: `${url}/${n}`, events: ['waits.event'] }));
    const requests = webhooks.map((id) => ({ method: 'POST' as const, path: `/webhooks/${id}/verify?wait=true` }));
    return async () => {
      await endpoint('delay', ANSWER_MS);
      const load = { requests, connections: CONNECTIONS, perSecond: PER_SECOND };
      await machine('request', { url: rig.apiUrl, key: tenant.key, ...load });
      return async () => {
        await machine('end');
        await endpoint('delay', 0);
      };
    };
  },
};
