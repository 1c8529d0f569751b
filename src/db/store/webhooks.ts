import { sql } from 'kysely';
import { newUuid } from '../../domain/ids';
import type { Queryable, Tx } from '../database';
import { clearSlotOfOtherRule, setGateStatus } from './gates';
import { selectWebhooks, toWebhook, type Webhook } from './webhook-row';
import { toColumns, toGateColumns, type WebhookSettings } from './webhook-settings';

/**
 * Whether the tenant has fewer webhooks than `most`. No other transaction can add one until the end of this one; events
 * are published meanwhile.
 */
export async function hasPlaceForWebhook(tx: Tx, tenantId: string, most: number): Promise<boolean> {
  await tx.selectFrom('tenants').select('id').where('id', '=', tenantId).forNoKeyUpdate().executeTakeFirstOrThrow();
  const last = await tx
    .selectFrom('webhooks')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .offset(most - 1)
    .limit(1)
    .executeTakeFirst();
  return last === undefined;
}

/** Registers a webhook with its gate, secret and subscriptions. */
export async function insertWebhook(
  tx: Tx,
  tenantId: string,
  id: string,
  settings: WebhookSettings,
  sealedSecret: string,
): Promise<void> {
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
}

export async function findWebhook(db: Queryable, tenantId: string, id: string): Promise<Webhook | undefined> {
  const row = await selectWebhooks(db, tenantId).where('w.id', '=', id).executeTakeFirst();
  return row && toWebhook(row);
}

/** Newest first; `beforeId` is the last id of the page before. */
export async function listWebhooks(
  db: Queryable,
  tenantId: string,
  limit: number,
  beforeId?: string,
): Promise<Webhook[]> {
  let query = selectWebhooks(db, tenantId).orderBy('w.id', 'desc').limit(limit);
  if (beforeId) query = query.where('w.id', '<', beforeId);
  return (await query.execute()).map(toWebhook);
}

/**
 * What a change has to know of a webhook before it is made; locks it until the end of the transaction, so that nothing
 * else changes its version meanwhile.
 */
export async function lockWebhook(tx: Tx, tenantId: string, id: string): Promise<LockedWebhook | undefined> {
  const webhook = await tx
    .selectFrom('webhooks')
    .select(['version', 'url', 'header_names', 'signature_styles', 'signature'])
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (!webhook) return undefined;
  const gate = await tx
    .selectFrom('webhook_gates')
    .select('status_version')
    .where('webhook_id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  return {
    version: webhook.version + gate.status_version,
    url: webhook.url,
    headerNames: webhook.header_names,
    signatureStyles: webhook.signature_styles,
    signature: webhook.signature,
  };
}

export type LockedWebhook = Pick<Webhook, 'version' | 'url' | 'headerNames' | 'signatureStyles' | 'signature'>;

/** Changes the given settings of a webhook that this transaction holds by {@link lockWebhook}; the rest stays. */
export async function updateWebhook(
  tx: Tx,
  tenantId: string,
  id: string,
  change: Partial<WebhookSettings>,
): Promise<void> {
  await tx
    .updateTable('webhooks')
    .set({ ...toColumns(change), updated_at: new Date(), version: sql`version + 1` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .execute();
  const gate = toGateColumns(change);
  if (change.ordered !== undefined) await clearSlotOfOtherRule(tx, id, change.ordered);
  if (Object.values(gate).some((value) => value !== undefined)) {
    await tx.updateTable('webhook_gates').set(gate).where('webhook_id', '=', id).execute();
  }
  if (change.status) await setGateStatus(tx, id, change.status);
  const { patterns, payload, payloadVersion } = change;
  if (patterns || payload || payloadVersion !== undefined) await replaceSubscriptions(tx, tenantId, id);
}

/** Removes a webhook at once for publishers and the claim; its live deliveries are cancelled by the reconciler. */
export async function deleteWebhook(tx: Tx, tenantId: string, id: string): Promise<boolean> {
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
  await tx.deleteFrom('webhook_tests').where('webhook_id', '=', id).execute();
  return true;
}

/** What the publish asks of a webhook, from the webhook's own row. */
async function replaceSubscriptions(tx: Tx, tenantId: string, webhookId: string) {
  await tx.deleteFrom('subscriptions').where('tenant_id', '=', tenantId).where('webhook_id', '=', webhookId).execute();
  await sql`
    insert into subscriptions (tenant_id, pattern, webhook_id, minimal, payload_version)
    select tenant_id, unnest(patterns), id, payload = 'minimal', payload_version from webhooks
    where tenant_id = ${tenantId} and id = ${webhookId}`.execute(tx);
}
