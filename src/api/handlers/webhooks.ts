import type { z } from 'zod';
import { writeAudit } from '../../db/audit-log';
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
import type { StoredRetryPolicy } from '../../domain/retry-schedule';
import { generateSecret } from '../../egress/signatures';
import { ApiError, notFound } from '../errors';
import { page } from '../page';
import type { Answer, Context } from '../route';
import type { createWebhookBody, listWebhooksQuery, patchWebhookBody } from '../schemas/webhooks';
import type { Services } from '../services';

type None = undefined;

export async function create(context: Context<z.output<typeof createWebhookBody>, None>): Promise<Answer> {
  const { services, tenantId, actor, body } = context;
  requireScheme(services, body.url);
  const id = newUuid();
  const secret = body.secret ?? generateSecret();
  const webhook = await insertWebhook(
    services.db.kysely,
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
  );
  await writeAudit(services.db.kysely, {
    tenantId,
    actor,
    action: 'webhook.create',
    target: toPublicId('webhook', id),
  });
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
  const { services, tenantId, actor, ids, body } = context;
  if (body.url) requireScheme(services, body.url);
  const webhook = await updateWebhook(services.db.kysely, tenantId, ids.webhook!, {
    ...(body.url && { url: body.url.href, host: body.url.host }),
    ...(body.events && { patterns: body.events }),
    ...(body.description !== undefined && { description: body.description }),
    ...(body.metadata && { metadata: body.metadata }),
    ...(body.retry_policy && { retryPolicy: body.retry_policy }),
    ...(body.timeout !== undefined && { timeoutMs: body.timeout }),
    ...(body.active !== undefined && { status: body.active ? ('active' as const) : ('paused' as const) }),
  });
  if (!webhook) throw notFound('webhook');
  await writeAudit(services.db.kysely, {
    tenantId,
    actor,
    action: 'webhook.update',
    target: toPublicId('webhook', webhook.id),
    details: { fields: Object.keys(body) },
  });
  // An opened gate lets its backlog flow at once.
  services.notifyWork();
  return { status: 200, body: toOut(webhook) };
}

export async function remove({ services, tenantId, actor, ids }: Context<None, None>): Promise<Answer> {
  const id = ids.webhook!;
  if (!(await deleteWebhook(services.db.kysely, tenantId, id))) throw notFound('webhook');
  await writeAudit(services.db.kysely, {
    tenantId,
    actor,
    action: 'webhook.delete',
    target: toPublicId('webhook', id),
  });
  return { status: 204 };
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
  if ('preset' in policy) return policy;
  const { schedule_ms, ...rest } = policy;
  return { schedule: schedule_ms.map(formatDuration), ...rest };
}
