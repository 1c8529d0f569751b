import type { Request, Response } from 'express';
import { createLimiter, type Permit } from '../../concurrency/rate-limiter';
import type { Database } from '../../db/database';
import { type ApiKey, hashApiKey, noteKeyUse } from '../../db/store/api-keys';
import type { TenantScope } from '../../domain/scopes';
import { addressBlock } from '../../http/address-block';
import { noteOverLimit } from '../../http/connections';
import { ApiError, rateLimited } from '../errors';
import type { Services } from '../services';

/**
 * Wrong keys from one address: far more than a wrong setting sends, far fewer than guessing needs. A key is counted after
 * its lookup, so a good key that comes at the same moment, or later, is never counted.
 */
const GUESSES = { count: 60, perMs: 60_000 };
/** Lookups of keys that this process has not seen before, from one address: each costs 20 µs of Postgres. */
const LOOKUPS = { count: 1_000, perMs: 5_000 };
const ADDRESSES = 10_000;

/** "Last used" helps people to find keys that can be revoked: it may be this old. */
const USE_NOTED_MS = 60_000;
const USES_NOTED = 10_000;

/** A browser asks for both, and says nothing of the realm but in its small print. */
const PAGE_CHALLENGES = ['Bearer', 'Basic realm="Posthorn: any name, and an API key as password", charset="UTF-8"'];

/**
 * Returns a function that finds the API key of an `Authorization: Bearer` header (RFC 6750). The lookup is by hash:
 * nothing is compared byte by byte with what a caller sent. For a page (`page`) the key may also be the user name or the
 * password of `Basic` (RFC 7617): a browser can send no other. It sends it to pages only, which change nothing.
 *
 * Requests without a good key count against the limits of their address: those without any by `limitAnonymous`, wrong
 * keys here. A caller with a good key is served, whoever else guesses from the same address.
 * @throws ApiError unauthorized, rate_limited
 */
export function createAuthenticator(
  { db, keys }: Pick<Services, 'db' | 'keys'>,
  limitAnonymous: (req: Request, res: Response) => void,
) {
  const guesses = createLimiter(GUESSES, ADDRESSES);
  const lookups = createLimiter(LOOKUPS, ADDRESSES);
  const noteUse = createUseNotes(db);

  return async function authenticate(req: Request, res: Response, page = false): Promise<ApiKey> {
    const { authorization = '' } = req.headers;
    const token = bearerOf(authorization) ?? (page ? basicOf(authorization) : undefined);
    if (page) res.set('www-authenticate', PAGE_CHALLENGES);
    if (!token) {
      limitAnonymous(req, res);
      throw new ApiError('unauthorized', 'Send the API key as "Authorization: Bearer <key>".');
    }
    const hash = hashApiKey(token);
    const key = keys.wasGood(hash) ? await keys.find(hash) : await findUnknown(hash, addressBlock(req.ip));
    if (!key) {
      const permit = guesses.take(addressBlock(req.ip));
      if (permit.allowed) throw new ApiError('unauthorized', 'This API key is not known, was revoked or has expired.');
      res.set('connection', 'close');
      noteOverLimit(req.socket);
      throw tooManyUnknown(permit);
    }
    noteUse(key.id);
    res.removeHeader('www-authenticate');
    return key;
  };

  /** Takes a permit before the lookup, so that many lookups at once take as many permits. */
  async function findUnknown(hash: Buffer, block: string): Promise<ApiKey | undefined> {
    const permit = lookups.take(block);
    if (!permit.allowed) throw tooManyUnknown(permit);
    let wrong = false;
    try {
      const key = await keys.find(hash);
      wrong = key === undefined;
      return key;
    } finally {
      // Also if the database is unavailable: then the key was not wrong.
      if (!wrong) lookups.refund(block);
    }
  }
}

const bearerOf = (authorization: string) => /^Bearer ([\x21-\x7e]{1,200})$/i.exec(authorization)?.[1];

/** The half that looks like a key; else the password. */
function basicOf(authorization: string): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]{1,600}={0,2})$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const [, name = '', password = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8')) ?? [];
  const key = name.startsWith('ph_') ? name : password;
  return bearerOf(`Bearer ${key}`);
}

const tooManyUnknown = (permit: Permit) => rateLimited('Too many unknown API keys came from this address.', permit);

/** Returns a function that records the use of a key. It returns at once, and writes at most once a minute per key. */
function createUseNotes({ kysely }: Database) {
  const notedAt = new Map<string, number>();
  return (id: string): void => {
    const now = performance.now();
    if (now - (notedAt.get(id) ?? Number.NEGATIVE_INFINITY) < USE_NOTED_MS) return;
    notedAt.delete(id);
    if (notedAt.size >= USES_NOTED) notedAt.delete(notedAt.keys().next().value!);
    notedAt.set(id, now);
    noteKeyUse(kysely, id).catch(() => undefined); // the next minute tries again
  };
}

/** @throws ApiError forbidden, unless it is a tenant's key with this scope; returns the tenant */
export function requireScope(key: ApiKey, scope: TenantScope): string {
  if (key.kind === 'tenant' && key.scopes.includes(scope)) return key.tenantId;
  throw new ApiError('forbidden', `This needs an API key with the scope "${scope}".`);
}

/** @throws ApiError forbidden */
export function requireAdmin(key: ApiKey): void {
  if (key.kind !== 'admin') throw new ApiError('forbidden', 'This needs an admin key.');
}
