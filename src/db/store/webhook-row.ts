import { sql } from 'kysely';
import type { BreakerState, DisabledBecause } from '../../domain/delivery';
import { VERIFICATION_LIMIT_MS, type VerificationMethod } from '../../domain/verification';
import type { Queryable } from '../database';
import { gateConditions } from '../queue/gate-conditions';
import type { GateHealth } from './gates';
import { GATE_COLUMNS, settingsOf, type WebhookSettings } from './webhook-settings';

export type Webhook = WebhookSettings &
  GateHealth & {
    id: string;
    statusSince: Date;
    statusReason: DisabledBecause | null;
    breakerState: BreakerState;
    verification: Verification;
    /** Counts changes of the settings and of the status. */
    version: number;
    createdAt: Date;
    updatedAt: Date;
  };

export type Verification = {
  /** A round is under way; one that was lost ends by itself. */
  pending: boolean;
  /** The gate holds until the endpoint has answered the challenge. */
  holds: boolean;
  method: VerificationMethod | null;
  verifiedAt: Date | null;
  lastError: string | null;
};

/** A tenant's webhooks with their gates, as {@link toWebhook} takes them. */
export function selectWebhooks(db: Queryable, tenantId: string) {
  return db
    .selectFrom('webhooks as w')
    .innerJoin('webhook_gates as g', 'g.webhook_id', 'w.id')
    .selectAll('w')
    .select(GATE_COLUMNS.map((column) => `g.${column}` as const))
    .select([
      'g.status_reason',
      'g.status_since',
      'g.adaptive_cap',
      'g.breaker_until',
      'g.failures',
      'g.failing_since',
      'g.failed_in_a_row',
      'g.status_version',
      'g.unverified',
      sql<boolean>`coalesce(w.verification_pending_since > now() - ${VERIFICATION_LIMIT_MS}::int * interval '1 ms', false)`.as(
        'verification_pending',
      ),
      sql.raw<BreakerState>(gateConditions('g').breakerState).as('breaker_state'),
      sql<Date | null>`case when g.blocked_until > now() then g.blocked_until end`.as('throttled_until'),
    ])
    .where('w.tenant_id', '=', tenantId)
    .where('w.deleted_at', 'is', null);
}

type WebhookRow = Awaited<ReturnType<ReturnType<typeof selectWebhooks>['execute']>>[number];

export function toWebhook(row: WebhookRow): Webhook {
  return {
    id: row.id,
    ...settingsOf(row),
    statusSince: row.status_since,
    statusReason: row.status_reason,
    breakerState: row.breaker_state,
    breakerUntil: row.breaker_until,
    throttledUntil: row.throttled_until,
    failuresInARow: row.failures,
    failedDeliveriesInARow: row.failed_in_a_row,
    failingSince: row.failing_since,
    adaptiveMaxInFlight: row.adaptive_cap,
    verification: {
      pending: row.verification_pending,
      holds: row.unverified,
      method: row.verification_method,
      verifiedAt: row.verified_at,
      lastError: row.verification_error,
    },
    version: row.version + row.status_version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
