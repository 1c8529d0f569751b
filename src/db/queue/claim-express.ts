import type { Pool } from 'pg';
import type { Trigger } from '../../domain/delivery';
import { type PriorityRow, progress } from './claim-cursors';
import { claimExpressStatement } from './claim-express.sql';
import { type ClaimRequest, claimParameters } from './claim-request';
import type { Claim } from './claim-workflow';
import { type AttemptContext, bodyOf, scheduleOf, type WebhookFacts } from './load-attempt';

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
  const { rows } = await pool.query<Row>(claimExpressStatement(claimParameters(request)));
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
      ...scheduleOf(row),
      heldBy: 'nobody',
      inQueue: null,
      cancelAsked: row.cancel_asked,
      movedAway: false,
      moves: 0,
    },
    holder,
    webhook,
  };
}
