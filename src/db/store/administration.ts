import { toPublicId } from '../../domain/ids';
import type { Queryable } from '../database';
import { type ApiKeyRecord, generateApiKey, insertApiKey, type NewApiKey, revokeApiKey } from './api-keys';
import { writeAudit } from './audit-log';
import { insertTenant, type Tenant } from './tenants';

/**
 * What administrators do, by the API or the command line: each change with its entry in the audit log, both or neither.
 * The entry is in the log of the tenant that it is about, so that tenants see what was done to them.
 */

/** Undefined if the name is taken. */
export function createTenant(db: Queryable, name: string, actor: string): Promise<Tenant | undefined> {
  return db.transaction().execute(async (tx) => {
    const tenant = await insertTenant(tx, name);
    if (!tenant) return undefined;
    const target = toPublicId('tenant', tenant.id);
    await writeAudit(tx, { tenantId: tenant.id, actor, action: 'tenant.create', target, details: { name } });
    return tenant;
  });
}

/** Makes a key, and returns it: the only time that anyone sees it. The tenant has to exist. */
export function createApiKey(
  db: Queryable,
  environment: string,
  wanted: NewApiKey,
): Promise<{ key: string; record: ApiKeyRecord }> {
  const key = generateApiKey(environment);
  return db.transaction().execute(async (tx) => {
    const record = await insertApiKey(tx, key, wanted);
    const { kind, name, scopes } = record;
    await writeAudit(tx, {
      tenantId: record.tenantId,
      actor: wanted.createdBy,
      action: 'api_key.create',
      target: toPublicId('apiKey', record.id),
      details: { kind, name, scopes, expires_at: record.expiresAt },
    });
    return { key, record };
  });
}

/** Undefined if there is no such key; no second entry for one that was revoked before. */
export function revokeKey(db: Queryable, id: string, actor: string): Promise<ApiKeyRecord | undefined> {
  return db.transaction().execute(async (tx) => {
    const revoked = await revokeApiKey(tx, id);
    if (!revoked) return undefined;
    const { key, changed } = revoked;
    const target = toPublicId('apiKey', id);
    if (changed) await writeAudit(tx, { tenantId: key.tenantId, actor, action: 'api_key.revoke', target });
    return key;
  });
}
