import type { Queryable } from '../db/database';
import { createApiKey, revokeKey } from '../db/store/administration';
import { type ApiKeyRecord, listApiKeys, type NewApiKey } from '../db/store/api-keys';
import { parseDurationMs } from '../domain/durations';
import { parsePublicId, toPublicId } from '../domain/ids';
import { DEFAULT_KEY_ENVIRONMENT, KEY_ENVIRONMENT, TENANT_SCOPES } from '../domain/scopes';
import { escapeName, requireName } from '../domain/shown-names';
import { requireTenant } from './tenants';
import { CLI_ACTOR, eachRow, withDatabase } from './with-database';

export type CreateKeyOptions = {
  admin?: boolean;
  tenant?: string;
  scopes?: string;
  name?: string;
  expires?: string;
  environment?: string;
};

/** `posthorn keys create`: the key alone on standard output, so that it can go straight to where it is kept. */
export async function runCreateKey(options: CreateKeyOptions): Promise<void> {
  const environment = options.environment ?? DEFAULT_KEY_ENVIRONMENT;
  if (!KEY_ENVIRONMENT.test(environment)) throw new Error('--environment: 1 to 16 lower-case letters and digits.');
  if (options.name !== undefined) requireName(options.name, '--name');
  const expiresInMs = options.expires === undefined ? null : toLifeMs(options.expires);
  await withDatabase(async (db) => {
    const owner = await toOwner(db, options);
    const given = { owner, name: options.name ?? null, expiresInMs, createdBy: CLI_ACTOR };
    const { key, record } = await createApiKey(db, environment, given);
    console.error(`${toLine(record)}\nThis is the only time that the key is shown:`);
    console.log(key);
  });
}

/** `posthorn keys list`: one line per key, newest first. */
export async function runListKeys({ tenant }: { tenant?: string }): Promise<void> {
  await withDatabase(async (db) => {
    const tenantId = tenant === undefined ? undefined : (await requireTenant(db, tenant)).id;
    const keys = eachRow((limit, beforeId) => listApiKeys(db, { tenantId, limit, beforeId }));
    for await (const key of keys) console.log(toLine(key));
  });
}

/** `posthorn keys revoke <key id>` */
export async function runRevokeKey(text: string): Promise<void> {
  const id = parsePublicId('apiKey', text);
  if (!id) throw new Error('A key id begins with key_; `posthorn keys list` shows them.');
  await withDatabase(async (db) => {
    const key = await revokeKey(db, id, CLI_ACTOR);
    if (!key) throw new Error('There is no API key with this id.');
    console.log(toLine(key));
  });
}

async function toOwner(db: Queryable, { admin, tenant, scopes }: CreateKeyOptions): Promise<NewApiKey['owner']> {
  if (admin) {
    if (tenant !== undefined || scopes !== undefined) throw new Error('--admin goes without --tenant and --scopes.');
    return { kind: 'admin' };
  }
  if (tenant === undefined || scopes === undefined) throw new Error('Give --tenant and --scopes, or --admin.');
  const asked = scopes.split(',').map((scope) => scope.trim());
  const known = TENANT_SCOPES.filter((scope) => asked.includes(scope));
  if (asked.some((scope) => !known.some((name) => name === scope))) {
    throw new Error(`--scopes: any of ${TENANT_SCOPES.join(', ')}, comma separated.`);
  }
  return { kind: 'tenant', tenantId: (await requireTenant(db, tenant)).id, scopes: known };
}

function toLifeMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined || ms <= 0) throw new Error('--expires: a duration such as 12h or 90d.');
  return ms;
}

function toLine(key: ApiKeyRecord): string {
  const time = (what: string, at: Date | null) => (at ? [`${what} ${at.toISOString()}`] : []);
  return [
    toPublicId('apiKey', key.id),
    key.tenantId ? toPublicId('tenant', key.tenantId) : 'admin',
    key.scopes.join(','),
    ...(key.name === null ? [] : [escapeName(key.name)]),
    ...time('created', key.createdAt),
    ...time('last used', key.lastUsedAt),
    ...time('expires', key.expiresAt),
    ...time('revoked', key.revokedAt),
  ].join('\t');
}
