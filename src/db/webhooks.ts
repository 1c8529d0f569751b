import { type Kysely, sql, type Transaction } from 'kysely';
import type { BreakerState, DisabledBecause, WebhookStatus } from '../domain/delivery';
import type { Filter } from '../domain/filter';
import { newUuid } from '../domain/ids';
import type { PayloadMode } from '../domain/minimal-payload';
import type { StoredRetryPolicy } from '../domain/retry-schedule';
import type { SignatureStyle } from '../domain/signature-styles';
import { VERIFICATION_LIMIT_MS, type VerificationMethod } from '../domain/verification';
import {
  BREAKER_STATE,
  clearSlotOfOtherRule,
  type GateHealth,
  type GateSettings,
  setGateStatus,
  toGateColumns,
} from './gates';
import type { Tables } from './tables';

type Db = Kysely<Tables> | Transaction<Tables>;

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

/** Registers a webhook with its gate, secret and subscriptions. */
export async function insertWebhook(
  tx: Transaction<Tables>,
  tenantId: string,
  id: string,
  settings: WebhookSettings,
  sealedSecret: string,
): Promise<Webhook> {
  await tx
    .insertInto('webhooks')
    .values({ id, tenant_id: tenantId, ...toColumns(settings) })
    .execute();
  await tx
    .insertInto('webhook_gates')
    .values({ webhook_id: id, status: settings.status, ...toGateColumns(settings) })
    .execute();
  await tx
    .insertInto('webhook_secrets')
    .values({ id: newUuid(), webhook_id: id, sealed: sealedSecret, expires_at: null })
    .execute();
  await replaceSubscriptions(tx, tenantId, id);
  return (await findWebhook(tx, tenantId, id))!;
}

export async function findWebhook(db: Db, tenantId: string, id: string): Promise<Webhook | undefined> {
  const row = await selectWebhooks(db, tenantId).where('w.id', '=', id).executeTakeFirst();
  return row && toWebhook(row);
}

/** Newest first; `beforeId` is the last id of the page before. */
export async function listWebhooks(db: Db, tenantId: string, limit: number, beforeId?: string): Promise<Webhook[]> {
  let query = selectWebhooks(db, tenantId).orderBy('w.id', 'desc').limit(limit);
  if (beforeId) query = query.where('w.id', '<', beforeId);
  return (await query.execute()).map(toWebhook);
}

/**
 * What a change has to know of a webhook before it is made; locks it until the end of the transaction, so that nothing
 * else changes its version meanwhile.
 */
export async function lockWebhook(
  tx: Transaction<Tables>,
  tenantId: string,
  id: string,
): Promise<{ version: number; url: string } | undefined> {
  const webhook = await tx
    .selectFrom('webhooks')
    .select(['version', 'url'])
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (!webhook) return undefined;
  const gate = await tx
    .selectFrom('webhook_gates')
    .select('moves')
    .where('webhook_id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  return { version: webhook.version + gate.moves, url: webhook.url };
}

/** Changes the given settings; the rest stays. Undefined where there is no such webhook. */
export async function updateWebhook(
  tx: Transaction<Tables>,
  tenantId: string,
  id: string,
  change: Partial<WebhookSettings>,
): Promise<Webhook | undefined> {
  const updated = await tx
    .updateTable('webhooks')
    .set({ ...toColumns(change), updated_at: new Date(), version: sql`version + 1` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (updated.numUpdatedRows === 0n) return undefined;
  const gate = toGateColumns(change);
  if (change.ordered !== undefined) await clearSlotOfOtherRule(tx, id, change.ordered);
  if (Object.keys(gate).length > 0) {
    await tx.updateTable('webhook_gates').set(gate).where('webhook_id', '=', id).execute();
  }
  if (change.status) await setGateStatus(tx, id, change.status);
  const { patterns, payload, payloadVersion } = change;
  if (patterns || payload || payloadVersion !== undefined) await replaceSubscriptions(tx, tenantId, id);
  return findWebhook(tx, tenantId, id);
}

/** Removes a webhook at once for publishers and the claim; its live deliveries are cancelled by the reconciler. */
export async function deleteWebhook(tx: Transaction<Tables>, tenantId: string, id: string): Promise<boolean> {
  const updated = await tx
    .updateTable('webhooks')
    .set({ deleted_at: new Date() })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (updated.numUpdatedRows === 0n) return false;
  await tx.deleteFrom('subscriptions').where('tenant_id', '=', tenantId).where('webhook_id', '=', id).execute();
  await tx.deleteFrom('webhook_gates').where('webhook_id', '=', id).execute();
  return true;
}

function selectWebhooks(db: Db, tenantId: string) {
  return db
    .selectFrom('webhooks as w')
    .innerJoin('webhook_gates as g', 'g.webhook_id', 'w.id')
    .selectAll('w')
    .select([
      'g.status',
      'g.status_reason',
      'g.status_since',
      'g.max_in_flight',
      'g.first_attempt',
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
      sql.raw<BreakerState>(BREAKER_STATE).as('breaker_state'),
      sql<Date | null>`case when g.blocked_until > now() then g.blocked_until end`.as('throttled_until'),
    ])
    .where('w.tenant_id', '=', tenantId)
    .where('w.deleted_at', 'is', null);
}

type WebhookRow = Awaited<ReturnType<ReturnType<typeof selectWebhooks>['execute']>>[number];

function toWebhook(row: WebhookRow): Webhook {
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
    firstAttempt: row.first_attempt,
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
function toColumns(settings: WebhookSettings): Columns;
function toColumns(settings: Partial<WebhookSettings>): Partial<Columns>;
function toColumns(settings: Partial<WebhookSettings>): Partial<Columns> {
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

/** What the publish asks of a webhook, from the webhook's own row. */
async function replaceSubscriptions(tx: Transaction<Tables>, tenantId: string, webhookId: string) {
  await tx.deleteFrom('subscriptions').where('tenant_id', '=', tenantId).where('webhook_id', '=', webhookId).execute();
  await sql`
    insert into subscriptions (tenant_id, pattern, webhook_id, minimal, payload_version)
    select tenant_id, unnest(patterns), id, payload = 'minimal', payload_version from webhooks
    where tenant_id = ${tenantId} and id = ${webhookId}`.execute(tx);
}
