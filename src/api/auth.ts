import { type ApiKey, findApiKey, hashApiKey, noteKeyUse } from '../db/api-keys';
import type { Database } from '../db/database';
import { createLimiter } from '../domain/limiter';
import type { TenantScope } from '../domain/scopes';
import { addressBlock } from './address-block';
import { ApiError, rateLimited } from './errors';

/** A revoked or expired key stops working within this time. */
const CACHE_MS = 5_000;
const CACHE_ENTRIES = 1_000;

/** Unknown keys from one address; far more than a mistaken setting needs, far less than guessing wants. */
const GUESSES = { count: 60, perMs: 60_000 };
const GUESSING_ADDRESSES = 10_000;

/** "Last used" is for people who clean up: it may be this old. */
const USE_NOTED_MS = 60_000;

/**
 * Returns a function that finds the API key of an `Authorization: Bearer` header (RFC 6750). Known keys are
 * remembered for a moment, so that publishing costs no second query. The lookup is by hash: nothing is compared
 * byte by byte with what a caller sent.
 *
 * Keys that are not known here use up what their address may try. A key that was good in this process before is looked
 * up all the same: who shares an address with a guesser is not locked out with them.
 * @throws ApiError unauthorized, rate_limited
 */
export function createAuthenticator(db: Database) {
  const cache = new Map<string, { key: ApiKey; until: number }>();
  const guesses = createLimiter(GUESSES, GUESSING_ADDRESSES);
  const noteUse = createUseNotes(db);

  return async function authenticate(header: string | undefined, address: string | undefined): Promise<ApiKey> {
    const token = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(header ?? '')?.[1];
    if (!token) throw new ApiError('unauthorized', 'Send the API key as "Authorization: Bearer <key>".');
    const hash = hashApiKey(token);
    const id = hash.toString('base64');
    let known = cache.get(id);
    if (!known || known.until < performance.now()) {
      const key = await (known ? findApiKey(db.kysely, hash) : lookUpUnknown(hash, addressBlock(address)));
      cache.delete(id);
      if (!key) throw new ApiError('unauthorized', 'This API key is not known, was revoked or has expired.');
      known = { key, until: performance.now() + CACHE_MS };
      if (cache.size >= CACHE_ENTRIES) cache.delete(cache.keys().next().value!);
      cache.set(id, known);
    }
    noteUse(known.key.id);
    return known.key;
  };

  /** The turn is taken before the lookup, so that many guesses at once are as many turns. */
  async function lookUpUnknown(hash: Buffer, block: string): Promise<ApiKey | undefined> {
    const turn = guesses.take(block);
    if (!turn.allowed) throw rateLimited('Too many unknown API keys came from this address.', turn);
    let wrong = false;
    try {
      const key = await findApiKey(db.kysely, hash);
      wrong = key === undefined;
      return key;
    } finally {
      // Also where the database is away: nobody guessed wrong then.
      if (!wrong) guesses.giveBack(block);
    }
  }
}

/** Returns a function that notes the use of a key: returns at once, and writes at most once a minute per key. */
function createUseNotes({ kysely }: Database) {
  const notedAt = new Map<string, number>();
  return (id: string): void => {
    const now = performance.now();
    if (now - (notedAt.get(id) ?? Number.NEGATIVE_INFINITY) < USE_NOTED_MS) return;
    notedAt.delete(id);
    if (notedAt.size >= CACHE_ENTRIES) notedAt.delete(notedAt.keys().next().value!);
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
