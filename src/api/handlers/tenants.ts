import type { z } from 'zod';
import { createTenant } from '../../db/store/administration';
import { type Part, upTo } from '../../db/store/scan';
import { listTenants, type Tenant } from '../../db/store/tenants';
import { toPublicId } from '../../domain/ids';
import { ApiError } from '../errors';
import { readPage } from '../page';
import type { AdminContext, HandlerResult } from '../route';
import type { createTenantBody, listTenantsQuery } from '../schemas/api-keys';

type Body = z.output<typeof createTenantBody>;
type Query = z.output<typeof listTenantsQuery>;

export async function create({ services, actor, body }: AdminContext<Body, undefined>): Promise<HandlerResult> {
  const tenant = await createTenant(services.db.kysely, body.name, actor);
  if (tenant) return { status: 201, body: toOut(tenant) };
  throw new ApiError('validation_failed', 'There is a tenant with this name.', [
    { field: 'name', rule: 'must be a name that no tenant has' },
  ]);
}

export async function list({ services, query, inSlices }: AdminContext<undefined, Query>): Promise<HandlerResult> {
  const read = async ({ limit, beforeId }: Part) =>
    upTo(limit, await listTenants(services.db.kysely, limit + 1, beforeId));
  return { status: 200, body: await readPage('tenant', query, { read, toOut }, inSlices) };
}

function toOut({ id, name, createdAt }: Tenant) {
  return { id: toPublicId('tenant', id), name, created_at: createdAt };
}
