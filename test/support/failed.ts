import { Client } from 'pg';
import { type IdKind, parsePublicId } from '../../src/domain/ids';
import type { Installation } from './installation';
import type { Receiver } from './receiver';

/** Failed deliveries of a webhook that is paused until `resume`. */
export type Failed = {
  webhook: string;
  /** Public ids, oldest first. */
  events: string[];
  deliveries: string[];
  /** Lets what is put back into the queue go out. */
  resume(): Promise<void>;
};

const uuid = (kind: IdKind, id: string) => parsePublicId(kind, id)!;

/**
 * Publishes `count` events to a new webhook and writes down that each one failed with status 500: as the engine would,
 * without the time that it would take, and without the failures that would shut the webhook's gate.
 */
export async function makeFailed(
  { api, databaseUrl }: Pick<Installation, 'api' | 'databaseUrl'>,
  receiver: Pick<Receiver, 'url'>,
  count: number,
  type = 'order.created',
): Promise<Failed> {
  const { id: webhook } = await api.createWebhook(receiver, { events: [type], active: false });
  const events: string[] = [];
  for (let n = 0; n < count; n++) events.push((await api.publish(type, { n })).id);
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string }>(FAIL, [uuid('webhook', webhook)]);
    if (rows.length !== count) throw new Error(`${rows.length} of ${count} deliveries were there to fail`);
  } finally {
    await client.end();
  }
  const deliveries: string[] = [];
  for (const event of events) {
    const own = (await api.deliveriesOf(event)).find((delivery) => delivery.webhook_id === webhook);
    deliveries.push(own!.id);
  }
  return {
    webhook,
    events,
    deliveries,
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
select id, 1, gen_random_uuid(), tenant_id, webhook_id, 'schedule', now(), 5, 'failed', 500, '{}' from failed
returning delivery_id as id`;
