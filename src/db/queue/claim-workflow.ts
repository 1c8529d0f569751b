import type { Pool } from 'pg';
import type { Trigger } from '../../domain/delivery';
import { type PriorityRow, type Progress, progress } from './claim-cursors';
import { CLAIM_PRIORITIES, CLAIM_ROWS, type ClaimRequest, claimValues, NO_PRIORITY } from './claim-statement';

/** What starting a delivery's workflow needs to know. */
export type QueuedDelivery = {
  deliveryId: string;
  tenantId: string;
  webhookId: string;
  eventType: string;
  host: string;
  /** Attempts made so far. */
  attempt: number;
};

export type ClaimedDelivery = QueuedDelivery & {
  trigger: Trigger;
  /** The API key behind a manual trigger. */
  askedBy: string | null;
  /** How many of its webhook's attempts this process may have under way. */
  cap: number;
};

/** What a claim took, and how far it came. */
export type Claim<D = ClaimedDelivery> = Progress & { deliveries: D[] };

const CLAIM = {
  name: 'claim',
  text: `${CLAIM_ROWS}
select c.delivery_id, c.tenant_id, c.webhook_id, c.event_type, c.attempt, c.trigger, c.asked_by,
  (select w.host from webhooks w where w.id = c.webhook_id) host,
  (select o.cap from open o where o.webhook_id = c.webhook_id limit 1) cap,
  ${NO_PRIORITY}
from claimed c
union all
select null, null, null, null, null, null, null, null, null, ${CLAIM_PRIORITIES}`,
};

type ClaimedRow = {
  delivery_id: string;
  tenant_id: string;
  webhook_id: string;
  event_type: string;
  attempt: number;
  trigger: Trigger;
  asked_by: string | null;
  host: string;
  cap: number;
};

/** Leases up to `limit` deliveries. `nextCursors` is where the next claim of this turn goes on. */
export async function claimDeliveries(pool: Pool, request: ClaimRequest): Promise<Claim> {
  const { rows } = await pool.query<ClaimedRow | PriorityRow>({ ...CLAIM, values: claimValues(request) });
  const priorities = rows.filter((row) => row.delivery_id === null);
  return {
    deliveries: rows.filter((row) => row.delivery_id !== null).map(toClaimed),
    ...progress(request, priorities),
  };
}

function toClaimed(row: ClaimedRow): ClaimedDelivery {
  return {
    deliveryId: row.delivery_id,
    tenantId: row.tenant_id,
    webhookId: row.webhook_id,
    eventType: row.event_type,
    host: row.host,
    attempt: row.attempt,
    trigger: row.trigger,
    askedBy: row.asked_by,
    cap: row.cap,
  };
}
