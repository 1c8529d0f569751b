import { type Kysely, sql, type Transaction } from 'kysely';
import type { WebhookStatus } from '../domain/delivery';
import { newUuid } from '../domain/ids';
import type { StoredRetryPolicy } from '../domain/retry-schedule';
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
  status: WebhookStatus;
};

export type Webhook = WebhookSettings & { id: string; version: number; createdAt: Date; updatedAt: Date };

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
  await tx.insertInto('webhook_gates').values({ webhook_id: id, status: settings.status }).execute();
  await tx
    .insertInto('webhook_secrets')
    .values({ id: newUuid(), webhook_id: id, sealed: sealedSecret, expires_at: null })
    .execute();
  await replaceSubscriptions(tx, tenantId, id, settings.patterns);
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
  if (change.status) {
    await tx.updateTable('webhook_gates').set({ status: change.status }).where('webhook_id', '=', id).execute();
  }
  if (change.patterns) await replaceSubscriptions(tx, tenantId, id, change.patterns);
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
    .select('g.status')
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
    status: row.status,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function toColumns<T extends Partial<WebhookSettings>>(settings: T) {
  const { metadata, retryPolicy, timeoutMs, status: _, ...rest } = settings;
  return {
    ...rest,
    ...(metadata && { metadata: JSON.stringify(metadata) }),
    ...(retryPolicy && { retry_policy: JSON.stringify(retryPolicy) }),
    ...(timeoutMs !== undefined && { timeout_ms: timeoutMs }),
  } as Omit<T, 'metadata' | 'retryPolicy' | 'timeoutMs' | 'status'> & {
    metadata: string;
    retry_policy: string;
    timeout_ms: number;
  };
}

async function replaceSubscriptions(tx: Transaction<Tables>, tenantId: string, webhookId: string, patterns: string[]) {
  await tx.deleteFrom('subscriptions').where('tenant_id', '=', tenantId).where('webhook_id', '=', webhookId).execute();
  await tx
    .insertInto('subscriptions')
    .values(patterns.map((pattern) => ({ tenant_id: tenantId, pattern, webhook_id: webhookId })))
    .execute();
}
