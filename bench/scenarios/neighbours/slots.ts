import { remote } from '../../remote';
import type { SlowReceiverMethods } from '../../slow-receiver';
import { type Neighbour, times } from './neighbour';

const WEBHOOKS = 120;
/** Just within the longest time that a POST may take. */
const ANSWER_MS = 29_000;
const TYPE = 'slots.event';
/** Of each webhook, at once when it begins: with its share of 20 under way each, more than there are slots. */
const BACKLOG = 20;
/** Events a second, each for all webhooks. */
const RATE = 2;

/** B1: webhooks whose endpoints take as long as they may, with more for them all the time than there are slots. */
export const slots: Neighbour = {
  name: 'B1',
  about: `${WEBHOOKS} webhooks that answer after ${ANSWER_MS / 1_000} s`,
  async prepare({ rig, machine, tenant }) {
    const endpoint = remote<SlowReceiverMethods>(rig.start('slow-receiver').child);
    const url = await endpoint('listen');
    const webhooks = await tenant.webhooks(WEBHOOKS, (n) => ({ url: `${url}/${n}`, events: [TYPE], timeout: '30s' }));
    const event = { type: TYPE, data: {} };
    return async () => {
      await endpoint('delay', ANSWER_MS);
      await tenant.each(webhooks, 'resume');
      await tenant.call('POST', '/events/batch', { events: times(BACKLOG, () => event) });
      const requests = [{ method: 'POST' as const, path: '/events', body: event }];
      await machine('request', { url: rig.apiUrl, key: tenant.key, requests, connections: 4, perSecond: RATE });
      return async () => {
        await machine('end');
        await tenant.each(webhooks, 'pause');
        await endpoint('delay', 0);
        await tenant.untilQuiet();
      };
    };
  },
};
