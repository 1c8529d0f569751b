import { Client } from 'pg';
import { parsePublicId, toPublicId } from '../../src/domain/ids';
import type { Installation } from './installation';
import type { Receiver } from './receiver';

/** Failed deliveries of a webhook that is paused until `resume`. */
export type Failed = {
  webhook: string;
  type: string;
  /** Public ids, oldest first. */
  events: string[];
  deliveries: string[];
  /** Lets what is put back into the queue go out. */
  resume(): Promise<void>;
};

let made = 0;

/**
 * Publishes `count` events, of a type of their own, to a new webhook and writes down that each one failed with status 500: as the engine would,
 * without the time that it would take, and without the failures that would shut the webhook's gate.
 */
export async function makeFailed(
  { api, databaseUrl }: Pick<Installation, 'api' | 'databaseUrl'>,
  receiver: Pick<Receiver, 'url'>,
  count: number,
  type = `failed.n${++made}`,
): Promise<Failed> {
  const { id: webhook } = await api.createWebhook(receiver, { events: [type], active: false });
  for (let n = 0; n < count; n++) await api.publish(type, { n });
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  let rows: { id: string; event_id: string }[];
  try {
    const webhookId = parsePublicId('webhook', webhook);
    await client.query(FAIL, [webhookId]);
    ({ rows } = await client.query('select id, event_id from deliveries where webhook_id = $1 order by id', [
      webhookId,
    ]));
  } finally {
    await client.end();
  }
  return {
    webhook,
    type,
    events: rows.map((row) => toPublicId('event', row.event_id)),
    deliveries: rows.map((row) => toPublicId('delivery', row.id)),
    resume: async () => void (await api.ok('PATCH', `/webhooks/${webhook}`, { active: true })),
  };
}

const FAIL = `
with gone as (delete from delivery_queue where webhook_id = $1 returning delivery_id),
failed as (
  update deliveries d set state = 'failed', attempt_count = 1, failed_because = 'exhausted', failed_at = now(), ended_at = now()
  from gone where d.id = gone.delivery_id returning d.id, d.tenant_id, d.webhook_id)
insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome,
  status_code, request_headers)
select id, 1, gen_random_uuid(), tenant_id, webhook_id, 'schedule', now(), 5, 'failed', 500, '{}' from failed`;
