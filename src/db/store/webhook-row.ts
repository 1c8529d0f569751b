import { sql } from 'kysely';
import type { BreakerState, DisabledBecause, WebhookStatus } from '../../domain/delivery';
import type { Filter } from '../../domain/filter';
import type { PayloadMode } from '../../domain/minimal-payload';
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import type { SignatureStyle } from '../../domain/signature-styles';
import { VERIFICATION_LIMIT_MS, type VerificationMethod } from '../../domain/verification';
import type { Queryable } from '../database';
import { gateConditions } from '../queue/gate-conditions';
import type { GateHealth, GateSettings } from './gates';

export type WebhookSettings = {
  url: string;
  host: string;
  patterns: string[];
  description: string | null;
  metadata: Record<string, string>;
  retryPolicy: StoredRetryPolicy;
  timeoutMs: number;
  signatureStyles: SignatureStyle[];
  /** The webhook's own headers, sealed: they may hold credentials. */
  sealedHeaders: string | null;
  headerNames: string[];
  payload: PayloadMode;
  /** Only events of this version; null: of every one. */
  payloadVersion: string | null;
  /** Only events that pass it; null: all. */
  filter: Filter | null;
  status: WebhookStatus;
} & GateSettings;

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
  /** The gate is shut until the endpoint has answered the challenge. */
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
    .select([
      'g.status',
      'g.status_reason',
      'g.status_since',
      'g.max_in_flight',
      'g.mode',
      'g.adaptive_cap',
      'g.ordered',
      'g.breaker_threshold',
      'g.breaker_window_ms',
      'g.breaker_open_ms',
      'g.breaker_until',
      'g.failures',
      'g.failing_since',
      'g.failed_in_a_row',
      'g.disable_after_failed',
      'g.disable_after_ms',
      'g.moves',
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
    url: row.url,
    host: row.host,
    patterns: row.patterns,
    description: row.description,
    metadata: row.metadata,
    retryPolicy: row.retry_policy,
    timeoutMs: row.timeout_ms,
    signatureStyles: row.signature_styles,
    sealedHeaders: row.sealed_headers,
    headerNames: row.header_names,
    rateLimit: row.rate_limit,
    payload: row.payload,
    payloadVersion: row.payload_version,
    filter: row.filter,
    maxInFlight: row.max_in_flight,
    mode: row.mode,
    ordered: row.ordered,
    breaker:
      row.breaker_threshold === null
        ? null
        : { failures: row.breaker_threshold, windowMs: row.breaker_window_ms, openMs: row.breaker_open_ms },
    disableAfter: { failedDeliveries: row.disable_after_failed, failingForMs: row.disable_after_ms },
    status: row.status,
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
    version: row.version + row.moves,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

type Columns = {
  url: string;
  host: string;
  patterns: string[];
  description: string | null;
  metadata: string;
  retry_policy: string;
  timeout_ms: number;
  signature_styles: SignatureStyle[];
  sealed_headers: string | null;
  header_names: string[];
  rate_limit: string | null;
  payload: PayloadMode;
  payload_version: string | null;
  filter: string | null;
};

/** The columns of `webhooks` that settings stand in; those of the gate are in ./gates.ts. */
export function toColumns(settings: WebhookSettings): Columns;
export function toColumns(settings: Partial<WebhookSettings>): Partial<Columns>;
export function toColumns(settings: Partial<WebhookSettings>): Partial<Columns> {
  const { url, host, patterns, description, metadata, retryPolicy, timeoutMs, ...more } = settings;
  const { signatureStyles, sealedHeaders, headerNames, rateLimit, payload, payloadVersion, filter } = more;
  return {
    ...(url !== undefined && { url }),
    ...(host !== undefined && { host }),
    ...(patterns && { patterns }),
    ...(description !== undefined && { description }),
    ...(metadata && { metadata: JSON.stringify(metadata) }),
    ...(retryPolicy && { retry_policy: JSON.stringify(retryPolicy) }),
    ...(timeoutMs !== undefined && { timeout_ms: timeoutMs }),
    ...(signatureStyles && { signature_styles: signatureStyles }),
    ...(sealedHeaders !== undefined && { sealed_headers: sealedHeaders }),
    ...(headerNames && { header_names: headerNames }),
    ...(rateLimit !== undefined && { rate_limit: rateLimit }),
    ...(payload && { payload }),
    ...(payloadVersion !== undefined && { payload_version: payloadVersion }),
    ...(filter !== undefined && { filter: filter && JSON.stringify(filter) }),
  };
}
