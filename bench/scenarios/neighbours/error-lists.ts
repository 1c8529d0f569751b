import type { Asked } from '../../neighbour';
import { type Neighbour, times } from './neighbour';

const EVENTS = 1_000;
const FIELDS = 30;

/** Nearly 1 MB in which everything is wrong: types that are none, and fields that nobody knows. */
const REQUESTS: Asked[] = [
  {
    ...{ method: 'POST', path: '/events/batch' },
    body: {
      events: times(EVENTS, (n) => ({
        type: '!',
        data: n,
        ...Object.fromEntries(times(FIELDS, (f) => [`unknown_${f}`, n])),
      })),
    },
  },
  {
    ...{ method: 'POST', path: '/webhooks' },
    body: Object.fromEntries(times(20_000, (n) => [`unknown_field_${n}`, n])),
  },
];

/** B6: requests in which as much as possible is wrong. */
export const errorLists: Neighbour = {
  name: 'B6.errors',
  about: 'requests of nearly 1 MB in which everything is wrong',
  async prepare({ rig, machine, tenant }) {
    return async () => {
      const load = { requests: REQUESTS, connections: 4, perSecond: 50 };
      await machine('request', { url: rig.apiUrl, key: tenant.key, ...load });
      return () => machine('end');
    };
  },
};
