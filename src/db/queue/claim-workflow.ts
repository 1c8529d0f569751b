import type { Pool } from 'pg';
import type { Trigger } from '../../domain/delivery';
import { type PriorityRow, type Progress, progress } from './claim-cursors';
import { type ClaimRequest, claimParameters } from './claim-request';
import { claimWorkflowStatement } from './claim-workflow.sql';

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

/** Leases up to `limit` deliveries. `nextCursors` is where the next claim of this pass goes on. */
export async function claimDeliveries(pool: Pool, request: ClaimRequest): Promise<Claim> {
  const { rows } = await pool.query<ClaimedRow | PriorityRow>(claimWorkflowStatement(claimParameters(request)));
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
