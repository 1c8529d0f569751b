import type { z } from 'zod';
import { createApiKey, revokeKey } from '../../db/store/administration';
import { type ApiKeyRecord, listApiKeys } from '../../db/store/api-keys';
import { type Part, upTo } from '../../db/store/scan';
import { findTenant } from '../../db/store/tenants';
import { toPublicId } from '../../domain/ids';
import { toActorOut } from '../actor-out';
import { ApiError, notFound } from '../errors';
import { readPage } from '../page';
import type { AdminContext, HandlerResult } from '../route';
import type { createApiKeyBody, listApiKeysQuery } from '../schemas/api-keys';

type None = undefined;
type Body = z.output<typeof createApiKeyBody>;
type Query = z.output<typeof listApiKeysQuery>;

/** Only this answer shows the key. */
export async function create({ services, actor, body }: AdminContext<Body, None>): Promise<HandlerResult> {
  const { kysely } = services.db;
  const { owner, name, expires_in: expiresInMs, environment } = body;
  if (owner.kind === 'tenant' && !(await findTenant(kysely, { id: owner.tenantId }))) {
    throw new ApiError('validation_failed', 'There is no such tenant.', [
      { field: 'tenant_id', rule: 'must be the id of a tenant' },
    ]);
  }
  const { key, record } = await createApiKey(kysely, environment, { owner, name, expiresInMs, createdBy: actor });
  return { status: 201, headers: { 'cache-control': 'no-store' }, body: { ...toOut(record), key } };
}

export async function list({ services, query, inSlices }: AdminContext<None, Query>): Promise<HandlerResult> {
  const { tenant_id: tenantId } = query;
  const read = async ({ limit, beforeId }: Part) =>
    upTo(limit, await listApiKeys(services.db.kysely, { tenantId, limit: limit + 1, beforeId }));
  return { status: 200, body: await readPage('apiKey', query, { read, toOut }, inSlices) };
}

export async function revoke({ services, actor, ids }: AdminContext<unknown, None>): Promise<HandlerResult> {
  // Also if it fails: then it is not known whether the key was revoked.
  const key = await revokeKey(services.db.kysely, ids.key!, actor).finally(services.keys.invalidateAll);
  if (!key) throw notFound('API key');
  return { status: 200, body: toOut(key) };
}

function toOut(key: ApiKeyRecord) {
  return {
    id: toPublicId('apiKey', key.id),
    kind: key.kind,
    tenant_id: key.tenantId && toPublicId('tenant', key.tenantId),
    name: key.name,
    scopes: key.scopes,
    created_by: key.createdBy && toActorOut(key.createdBy),
    created_at: key.createdAt,
    last_used_at: key.lastUsedAt,
    expires_at: key.expiresAt,
    revoked_at: key.revokedAt,
  };
}
