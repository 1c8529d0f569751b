import { createHash, randomBytes } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import { newUuid } from '../domain/ids';
import type { Tables } from './tables';

export type ApiKey = { id: string; tenantId: string; scopes: string[] };

/** Keys carry 256 random bits, so that a plain SHA-256 at rest is enough: there is nothing to guess. */
export function generateApiKey(environment: string): string {
  return `ph_${environment}_${randomBytes(32).toString('base64url')}`;
}

export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** The key with this hash, unless it is revoked or past its time. */
export async function findApiKey(db: Kysely<Tables>, hash: Buffer): Promise<ApiKey | undefined> {
  const row = await db
    .selectFrom('api_keys')
    .select(['id', 'tenant_id', 'scopes'])
    .where('key_hash', '=', hash)
    .where('revoked_at', 'is', null)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
    .executeTakeFirst();
  return row && { id: row.id, tenantId: row.tenant_id, scopes: row.scopes };
}

/** Makes sure that a tenant of this name and this key exist; returns the tenant's id. For the bootstrap key. */
export async function ensureTenantKey(db: Kysely<Tables>, name: string, key: string): Promise<string> {
  return db.transaction().execute(async (tx) => {
    await tx
      .insertInto('tenants')
      .values({ id: newUuid(), name })
      .onConflict((c) => c.column('name').doNothing())
      .execute();
    const tenant = await tx.selectFrom('tenants').select('id').where('name', '=', name).executeTakeFirstOrThrow();
    await tx
      .insertInto('api_keys')
      .values({
        id: newUuid(),
        tenant_id: tenant.id,
        key_hash: hashApiKey(key),
        scopes: ['publish', 'read', 'manage'],
        expires_at: null,
        revoked_at: null,
      })
      .onConflict((c) => c.column('key_hash').doNothing())
      .execute();
    return tenant.id;
  });
}
