import { setTimeout as sleep } from 'node:timers/promises';
import { type Neighbour, times } from './neighbour';
import { uuidOf } from './tenant';

/** More than an event is told to. */
const WEBHOOKS = 120;
const ROWS = 20_000;
/** Details that no event can be made of. */
const POISON = ['{"event_id":"not-a-uuid"}', 'null', '[1,2]', '{"event_id":{"a":1}}'];
const SETTLE_MS = 500;

const RAISE = `
insert into operational_outbox (tenant_id, type, webhook_id, details)
select $1, 'posthorn.webhook.failing', $2, $3::jsonb from generate_series(1, $4)`;

/** B5: very many operational events, each for as many webhooks as may be, and among them some that cannot be published. */
export const operationalEvents: Neighbour = {
  name: 'B5',
  about: `${ROWS} operational events for ${WEBHOOKS} paused webhooks, and rows that cannot be published`,
  async prepare({ tenant }) {
    const [first] = await tenant.webhooks(WEBHOOKS, () => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['posthorn.*'], active: false },
    }));
    const raise = (details: string, rows: number) =>
      tenant.pool.query(RAISE, [tenant.id, uuidOf(first!), details, rows]);
    return async () => {
      // Before and after the others: the oldest come first.
      for (const details of POISON) await raise(details, 5);
      await raise('{}', ROWS);
      await Promise.all(times(POISON.length, (n) => raise(POISON[n]!, 5)));
      return async () => {
        await tenant.pool.query('delete from operational_outbox where tenant_id = $1', [tenant.id]);
        // A turn that has begun has its rows.
        await sleep(SETTLE_MS);
      };
    };
  },
};
