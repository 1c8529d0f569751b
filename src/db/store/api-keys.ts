import { createHash, randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import { newUuid } from '../../domain/ids';
import { type KeyKind, type Scope, TENANT_SCOPES, type TenantScope } from '../../domain/scopes';
import type { Queryable } from '../database';
import type { Tables } from '../tables';

/** Who asks. A key belongs to one tenant, or is an administrator's and belongs to none. */
export type ApiKey =
  | { kind: 'tenant'; id: string; tenantId: string; scopes: readonly Scope[] }
  | { kind: 'admin'; id: string };

type Row = Selectable<Tables['api_keys']>;

/** Keys carry 256 random bits, so that a plain SHA-256 at rest is enough: there is nothing to guess. */
export function generateApiKey(environment: string): string {
  return `ph_${environment}_${randomBytes(32).toString('base64url')}`;
}

export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** A key that is good at this moment, and for how much longer by the clock of the database; Infinity: for ever. */
export type FoundKey = { key: ApiKey; expiresInMs: number };

/** The keys with these hashes, by hash in base64, without those that are revoked or past their time. */
export async function findApiKeys(db: Queryable, hashes: readonly Buffer[]): Promise<Map<string, FoundKey>> {
  const rows = await db
    .selectFrom('api_keys')
    .select(['id', 'kind', 'tenant_id', 'scopes', 'key_hash'])
    .select(sql<number | null>`extract(epoch from expires_at - clock_timestamp())::float8 * 1000`.as('expires_in_ms'))
    .where('key_hash', 'in', hashes)
    .where('revoked_at', 'is', null)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`clock_timestamp()`)]))
    .execute();
  return new Map(
    rows.map(({ key_hash, expires_in_ms, ...row }) => [
      key_hash.toString('base64'),
      { key: toKey(row), expiresInMs: expires_in_ms ?? Number.POSITIVE_INFINITY },
    ]),
  );
}

function toKey({ id, kind, tenant_id, scopes }: Pick<Row, 'id' | 'kind' | 'tenant_id' | 'scopes'>): ApiKey {
  // The table's check: a key of this kind has its tenant.
  return kind === 'admin' ? { kind, id } : { kind, id, tenantId: tenant_id!, scopes };
}

/** What is stored of a key, except its hash. */
export type ApiKeyRecord = {
  id: string;
  kind: KeyKind;
  tenantId: string | null;
  name: string | null;
  scopes: readonly Scope[];
  /** The uuid of an API key, or `cli`, or `bootstrap`; null for keys older than this column. */
  createdBy: string | null;
  createdAt: Date;
  lastUsedAt: Date | null;
  expiresAt: Date | null;
  revokedAt: Date | null;
};

export type NewApiKey = {
  owner: { kind: 'tenant'; tenantId: string; scopes: readonly TenantScope[] } | { kind: 'admin' };
  name: string | null;
  /** From now, by the clock of the database, milliseconds; null: never. */
  expiresInMs: number | null;
  createdBy: string;
};

/** Writes a key down; only its hash is kept. */
export async function insertApiKey(db: Queryable, key: string, { owner, ...given }: NewApiKey): Promise<ApiKeyRecord> {
  const expiresAt =
    given.expiresInMs === null ? null : sql<Date>`now() + ${given.expiresInMs}::bigint * interval '1 ms'`;
  const row = await db
    .insertInto('api_keys')
    .values({
      id: newUuid(),
      kind: owner.kind,
      tenant_id: owner.kind === 'tenant' ? owner.tenantId : null,
      name: given.name,
      key_hash: hashApiKey(key),
      scopes: owner.kind === 'tenant' ? [...owner.scopes] : ['admin'],
      created_by: given.createdBy,
      expires_at: expiresAt,
      revoked_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  return toRecord(row);
}

/** Newest first, of one tenant or all with those of administrators; `beforeId` is the last id of the page before. */
export async function listApiKeys(
  db: Queryable,
  { tenantId, limit, beforeId }: { tenantId?: string | undefined; limit: number; beforeId?: string | undefined },
): Promise<ApiKeyRecord[]> {
  let query = db.selectFrom('api_keys').selectAll().orderBy('id', 'desc').limit(limit);
  if (tenantId) query = query.where('tenant_id', '=', tenantId);
  if (beforeId) query = query.where('id', '<', beforeId);
  return (await query.execute()).map(toRecord);
}

/** good ──▶ revoked. `changed` is false if it was revoked before; undefined if there is no such key. */
export async function revokeApiKey(
  db: Queryable,
  id: string,
): Promise<{ key: ApiKeyRecord; changed: boolean } | undefined> {
  const revoked = await db
    .updateTable('api_keys')
    .set({ revoked_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  const row = await db.selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();
  return row && { key: toRecord(row), changed: revoked.numUpdatedRows > 0n };
}

/** Notes that a key was used, unless some process has noted it within the last minute. */
export async function noteKeyUse(db: Queryable, id: string): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ last_used_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where((eb) =>
      eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', sql<Date>`now() - interval '1 min'`)]),
    )
    .execute();
}

/** Whether a key is stored and no longer good: revoked, or past its time. */
export async function isEndedKey(db: Queryable, key: string): Promise<boolean> {
  const row = await db
    .selectFrom('api_keys')
    .select('id')
    .where('key_hash', '=', hashApiKey(key))
    .where((eb) => eb.or([eb('revoked_at', 'is not', null), eb('expires_at', '<=', sql<Date>`clock_timestamp()`)]))
    .executeTakeFirst();
  return row !== undefined;
}

/** Makes sure that a tenant of this name and this key exist; returns the tenant's id. For the bootstrap key. */
export async function ensureTenantKey(db: Queryable, name: string, key: string): Promise<string> {
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
        name: 'bootstrap',
        key_hash: hashApiKey(key),
        scopes: [...TENANT_SCOPES],
        created_by: 'bootstrap',
        expires_at: null,
        revoked_at: null,
      })
      .onConflict((c) => c.column('key_hash').doNothing())
      .execute();
    return tenant.id;
  });
}

function toRecord(row: Row): ApiKeyRecord {
  return {
    id: row.id,
    kind: row.kind,
    tenantId: row.tenant_id,
    name: row.name,
    scopes: row.scopes,
    createdBy: row.created_by,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  };
}
