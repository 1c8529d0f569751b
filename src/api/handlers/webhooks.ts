import type { z } from 'zod';
import { writeAudit } from '../../db/audit-log';
import type { Tx } from '../../db/database';
import {
  deleteWebhook,
  findWebhook,
  insertWebhook,
  listWebhooks,
  updateWebhook,
  type Webhook,
} from '../../db/webhooks';
import { formatDuration } from '../../domain/durations';
import { newUuid, toPublicId } from '../../domain/ids';
import type { StoredRetryPolicy, StoredRetryWaits } from '../../domain/retry-schedule';
import { generateSecret } from '../../egress/signatures';
import { ApiError, notFound } from '../errors';
import { page } from '../page';
import type { Answer, Context } from '../route';
import type { createWebhookBody, listWebhooksQuery, patchWebhookBody } from '../schemas/webhooks';
import type { Services } from '../services';

type None = undefined;

export async function create(context: Context<z.output<typeof createWebhookBody>, None>): Promise<Answer> {
  const { services, tenantId, body } = context;
  requireScheme(services, body.url);
  const id = newUuid();
  const secret = body.secret ?? generateSecret();
  const webhook = await audited(context, 'webhook.create', id, (tx) =>
    insertWebhook(
      tx,
      tenantId,
      id,
      {
        url: body.url.href,
        host: body.url.host,
        patterns: body.events,
        description: body.description,
        metadata: body.metadata,
        retryPolicy: body.retry_policy,
        timeoutMs: body.timeout,
        status: body.active ? 'active' : 'paused',
      },
      services.secretBox.seal(secret, { tenantId, webhookId: id }),
    ),
  );
  return { status: 201, body: { ...toOut(webhook), secret } };
}

export async function list({
  services,
  tenantId,
  query,
}: Context<None, z.output<typeof listWebhooksQuery>>): Promise<Answer> {
  const rows = await listWebhooks(services.db.kysely, tenantId, query.limit + 1, query.cursor);
  return { status: 200, body: page('webhook', rows, query.limit, toOut) };
}

export async function get({ services, tenantId, ids }: Context<None, None>): Promise<Answer> {
  const webhook = await findWebhook(services.db.kysely, tenantId, ids.webhook!);
  if (!webhook) throw notFound('webhook');
  return { status: 200, body: toOut(webhook) };
}

export async function patch(context: Context<z.output<typeof patchWebhookBody>, None>): Promise<Answer> {
  const { services, tenantId, ids, body } = context;
  if (body.url) requireScheme(services, body.url);
  const change = {
    ...(body.url && { url: body.url.href, host: body.url.host }),
    ...(body.events && { patterns: body.events }),
    ...(body.description !== undefined && { description: body.description }),
    ...(body.metadata && { metadata: body.metadata }),
    ...(body.retry_policy && { retryPolicy: body.retry_policy }),
    ...(body.timeout !== undefined && { timeoutMs: body.timeout }),
    ...(body.active !== undefined && { status: body.active ? ('active' as const) : ('paused' as const) }),
  };
  const webhook = await audited(
    context,
    'webhook.update',
    ids.webhook!,
    (tx) => updateWebhook(tx, tenantId, ids.webhook!, change),
    { fields: Object.keys(body) },
  );
  if (!webhook) throw notFound('webhook');
  // An opened gate lets its backlog flow at once.
  services.notifyWork();
  return { status: 200, body: toOut(webhook) };
}

export async function remove(context: Context<None, None>): Promise<Answer> {
  const id = context.ids.webhook!;
  const removed = await audited(context, 'webhook.delete', id, (tx) => deleteWebhook(tx, context.tenantId, id));
  if (!removed) throw notFound('webhook');
  return { status: 204 };
}

/** A change and its line in the audit log, both or neither; no line where nothing was changed. */
function audited<T>(
  { services, tenantId, actor }: Context<unknown, unknown>,
  action: string,
  webhookId: string,
  change: (tx: Tx) => Promise<T>,
  details?: Record<string, unknown>,
): Promise<T> {
  return services.db.kysely.transaction().execute(async (tx) => {
    const changed = await change(tx);
    const entry = { tenantId, actor, action, target: toPublicId('webhook', webhookId), ...(details && { details }) };
    if (changed) await writeAudit(tx, entry);
    return changed;
  });
}

function requireScheme({ allowHttp }: Services, url: URL): void {
  if (url.protocol === 'https:' || allowHttp) return;
  throw new ApiError('validation_failed', 'The URL must use https.', [
    { field: 'url', rule: 'must begin with https://' },
  ]);
}

function toOut(webhook: Webhook) {
  return {
    id: toPublicId('webhook', webhook.id),
    url: webhook.url,
    events: webhook.patterns,
    description: webhook.description,
    active: webhook.status === 'active',
    status: webhook.status,
    metadata: webhook.metadata,
    retry_policy: toRetryOut(webhook.retryPolicy),
    timeout: formatDuration(webhook.timeoutMs),
    version: webhook.version,
    created_at: webhook.createdAt,
    updated_at: webhook.updatedAt,
  };
}

function toRetryOut(policy: StoredRetryPolicy) {
  const { jitter, max_duration_ms, client_errors, ...waits } = policy;
  return {
    ...toWaitsOut(waits),
    ...(jitter !== undefined && { jitter }),
    ...(max_duration_ms !== undefined && { max_duration: formatDuration(max_duration_ms) }),
    ...(client_errors && { client_errors }),
  };
}

function toWaitsOut(waits: StoredRetryWaits) {
  if ('preset' in waits) return waits;
  if ('schedule_ms' in waits) return { schedule: waits.schedule_ms.map(formatDuration) };
  return {
    initial: formatDuration(waits.initial_ms),
    factor: waits.factor,
    max_interval: formatDuration(waits.max_interval_ms),
    max_attempts: waits.max_attempts,
  };
}
