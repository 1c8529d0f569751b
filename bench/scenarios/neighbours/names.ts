import { type Neighbour, times } from './neighbour';

/** More than the name servers that were enough to stop everybody. */
const WEBHOOKS = 96;
/** Events a second, each for one of the webhooks in turn: lookups of 5 s each, four times as many as a tenant may have. */
const RATE = 24;
const type = (n: number) => `names.t${n}`;

/** B2: webhooks at names whose name servers never answer, asked for all the time. */
export const names: Neighbour = {
  name: 'B2',
  about: `${WEBHOOKS} webhooks at names whose name servers never answer`,
  async prepare({ rig, machine, tenant }) {
    const webhooks = await tenant.webhooks(WEBHOOKS, (n) => ({
      ...{ url: `http://hook.n${n}.dead.test:9/`, events: [type(n)] },
      // Lookups are what is measured, and not Temporal, which retries would keep busy.
      retry_policy: { schedule: [] },
    }));
    const requests = times(WEBHOOKS, (n) => ({
      ...{ method: 'POST' as const, path: '/events' },
      body: { type: type(n), data: {} },
    }));
    return async () => {
      await tenant.each(webhooks, 'resume');
      await machine('request', { url: rig.apiUrl, key: tenant.key, requests, connections: 4, perSecond: RATE });
      return async () => {
        await machine('end');
        await tenant.each(webhooks, 'pause');
        await tenant.untilQuiet();
      };
    };
  },
};
