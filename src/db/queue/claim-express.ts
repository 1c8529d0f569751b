import type { Pool } from 'pg';
import type { Trigger } from '../../domain/delivery';
import { type PriorityRow, progress } from './claim-cursors';
import { CLAIM_PRIORITIES, CLAIM_ROWS, type ClaimRequest, claimValues, NO_PRIORITY } from './claim-statement';
import type { Claim } from './claim-workflow';
import { type AttemptContext, bodyOf, remainingMs, sealedSecretsOf, type WebhookFacts } from './load-attempt';

/** A claimed delivery with all that its attempt needs, as it stood when it was claimed. */
export type ExpressDelivery = Pick<AttemptContext, 'tenantId' | 'eventId' | 'eventType' | 'body'> & {
  deliveryId: string;
  webhookId: string;
  /** The id under which it is held. */
  holder: number;
  queue: NonNullable<AttemptContext['queue']>;
  /** Absent where it was deleted meanwhile. */
  webhook: ClaimedWebhook | undefined;
};

/** One object for all deliveries of a claim that go to the same webhook. */
export type ClaimedWebhook = WebhookFacts & {
  host: string;
  /** How many of its attempts this process may have under way. */
  cap: number;
  /** It has a rate limit: what was claimed took its token, and goes now or back. */
  paced: boolean;
};

/**
 * Takes rows like the claim of the workflow path and loads what their attempts need in the same trip. What a webhook
 * says comes once, in a row of its own, however many of its deliveries were taken.
 */
const CLAIM_EXPRESS = {
  name: 'claim-express',
  text: `${CLAIM_ROWS}
select c.delivery_id, c.tenant_id, c.webhook_id, c.event_id, c.event_type, c.seq, c.attempt, c.step, c.trigger,
  c.cancel_asked, ${remainingMs('c')} remaining_ms,
  greatest(0, extract(epoch from now() - c.cycle_started_at) * 1000)::float8 elapsed_ms,
  d.minimal, e.key_fields, e.body, null::json webhook,
  ${NO_PRIORITY}
from claimed c join deliveries d on d.id = c.delivery_id join events e on e.id = c.event_id
union all
select null, null, w.id, null, null, null, null, null, null, null, null, null, null, null, null,
  json_build_object('id', w.id, 'url', w.url, 'host', w.host, 'timeoutMs', w.timeout_ms, 'retryPolicy', w.retry_policy,
    'signatureStyles', w.signature_styles, 'sealedHeaders', w.sealed_headers,
    'cap', (select o.cap from open o where o.webhook_id = w.id limit 1),
    'paced', (select o.paced from open o where o.webhook_id = w.id limit 1),
    'sealedSecrets', coalesce(${sealedSecretsOf('w')}, '[]')),
  null, null, null, null, null, null, null, null, null
from webhooks w where w.id = any(array(select distinct webhook_id from picked)) and w.deleted_at is null
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, ${CLAIM_PRIORITIES}`,
};

type DeliveryRow = {
  delivery_id: string;
  tenant_id: string;
  webhook_id: string;
  event_id: string;
  event_type: string;
  seq: number;
  attempt: number;
  step: number;
  trigger: Trigger;
  cancel_asked: boolean;
  remaining_ms: number | null;
  elapsed_ms: number | null;
  minimal: boolean;
  key_fields: string[] | null;
  body: Buffer;
};
type WebhookRow = { delivery_id: null; webhook: ClaimedWebhook };
type Row = DeliveryRow | WebhookRow | (PriorityRow & { webhook: null });

/** Leases up to `limit` deliveries for attempts that this process makes itself; in publish order per webhook. */
export async function claimExpress(pool: Pool, request: ClaimRequest): Promise<Claim<ExpressDelivery>> {
  const { rows } = await pool.query<Row>({ ...CLAIM_EXPRESS, values: claimValues(request) });
  const deliveries: DeliveryRow[] = [];
  const priorities: PriorityRow[] = [];
  const webhooks = new Map<string, ClaimedWebhook>();
  for (const row of rows) {
    if (row.delivery_id !== null) deliveries.push(row);
    else if (row.webhook) webhooks.set(row.webhook.id, row.webhook);
    else priorities.push(row);
  }
  return {
    deliveries: deliveries
      .sort((a, b) => a.seq - b.seq)
      .map((row) => toDelivery(row, webhooks.get(row.webhook_id), request.holder)),
    ...progress(request, priorities),
  };
}

function toDelivery(row: DeliveryRow, webhook: ClaimedWebhook | undefined, holder: number): ExpressDelivery {
  return {
    deliveryId: row.delivery_id,
    tenantId: row.tenant_id,
    eventId: row.event_id,
    eventType: row.event_type,
    webhookId: row.webhook_id,
    body: bodyOf(row),
    queue: {
      timed: false,
      waits: row.remaining_ms !== null,
      remainingMs: row.remaining_ms ?? 0,
      attempt: row.attempt,
      step: row.step,
      elapsedMs: row.elapsed_ms ?? 0,
      trigger: row.trigger,
      heldBy: 'nobody',
      cancelAsked: row.cancel_asked,
      movedAway: false,
      moves: 0,
    },
    holder,
    webhook,
  };
}
