import { newUuid, toPublicId } from '../../../src/domain/ids';
import type { Neighbour } from './neighbour';
import { uuidOf } from './tenant';

const ATTEMPTS = 150;
/** The most that is kept of an answer, of what takes most room in JSON. */
const ANSWER = Buffer.alloc(16 * 1024, 1);
const EVENT = JSON.stringify({ type: 'large.event', data: { text: '"'.repeat(120_000) } });

/** Each has failed as often as it may, and its event is large. */
const STORE = `
with e as (insert into events (id, tenant_id, type, body) values ($1, $3, 'large.event', convert_to($5, 'utf8'))),
d as (
  insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, failed_because, failed_at, ended_at)
  values ($2, $3, $1, $4, 'large.event', 'failed', $6, 'exhausted', now(), now()))
insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome,
  status_code, request_headers, response_headers, response_body)
select $2, n, gen_random_uuid(), $3, $4, 'schedule', now(), 5, 'retry', 500, '{"a":"b"}',
  jsonb_build_object('x-long', repeat('"', 8000)), $7
from generate_series(1, $6) n`;

/** B6: the largest answers there are, again and again. */
export const largeAnswers: Neighbour = {
  name: 'B6.answers',
  about: `a delivery with ${ATTEMPTS} attempts and a large event, asked for again and again`,
  async prepare({ rig, machine, tenant }) {
    const [webhook] = await tenant.webhooks(1, () => ({
      ...{ url: 'http://127.0.0.1:9/', events: ['large.event'], active: false },
    }));
    const delivery = newUuid();
    const values = [newUuid(), delivery, tenant.id, uuidOf(webhook!), EVENT, ATTEMPTS, ANSWER];
    await tenant.pool.query(STORE, values);
    const path = `/deliveries/${toPublicId('delivery', delivery)}`;
    return async () => {
      const load = { requests: [{ method: 'GET' as const, path }], connections: 4, perSecond: 100 };
      await machine('request', { url: rig.apiUrl, key: tenant.key, ...load });
      return () => machine('end');
    };
  },
};
