import type { Asked } from '../../neighbour';
import { type Neighbour, times } from './neighbour';

const WEBHOOKS = 200;
/** Of each webhook's filter, none of which holds of what is published: each is asked of each event. */
const CONDITIONS = 98;
const BRANCHES = 100;

const filter = (webhook: number) => ({
  $or: times(CONDITIONS, (n) => ({ [`data.f${n}.a`]: webhook * 1_000 + n })),
});
const schema = {
  type: 'object',
  properties: { l: { type: 'array', items: { anyOf: times(BRANCHES, (n) => ({ const: n })) } } },
};

const batch = (count: number, event: (n: number) => object): Asked => ({
  ...{ method: 'POST', path: '/events/batch' },
  body: { events: times(count, event) },
});
const filtered = (n: number) => ({ type: 'costly.filtered', data: { f0: { a: -1 }, f1: { a: -2 }, n } });

/** A little below what one request may cost, by filters, a schema and many types; and once above it. */
const REQUESTS: Asked[] = [
  batch(450, filtered),
  batch(100, () => ({ type: 'costly.schema', data: { l: Array(120).fill(BRANCHES - 1) } })),
  batch(1_000, (n) => ({ type: `costly.t${n}.new`, data: { n } })),
  batch(1_000, filtered),
];

/** B3: batches that cost as much as a request may, one after the other. */
export const costlyBatches: Neighbour = {
  name: 'B3',
  about: `batches at the edge of a request's budget, against ${WEBHOOKS} filters of ${CONDITIONS} conditions and a schema`,
  async prepare({ rig, machine, tenant }) {
    await tenant.webhooks(WEBHOOKS, (n) => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['costly.filtered'], active: false },
      filter: filter(n),
    }));
    await tenant.call('POST', '/event-types', { name: 'costly.schema' });
    await tenant.call('POST', '/event-types/costly.schema/versions', { version: '1.0', schema });
    return async () => {
      const load = { requests: REQUESTS, connections: 8, perSecond: 100 };
      await machine('request', { url: rig.apiUrl, key: tenant.key, ...load });
      return () => machine('end');
    };
  },
};
