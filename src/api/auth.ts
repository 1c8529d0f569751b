import { type ApiKey, findApiKey, hashApiKey } from '../db/api-keys';
import type { Database } from '../db/database';
import { ApiError } from './errors';

export type Scope = 'publish' | 'read' | 'manage';

/** A revoked key stops working within this time. */
const CACHE_MS = 5_000;
const CACHE_ENTRIES = 1_000;

/**
 * Returns a function that finds the API key of an `Authorization: Bearer` header (RFC 6750). Known keys are
 * remembered for a moment, so that publishing costs no second query. The lookup is by hash: nothing is compared
 * byte by byte with what a caller sent.
 * @throws ApiError unauthorized, forbidden
 */
export function createAuthenticator(db: Database) {
  const cache = new Map<string, { key: ApiKey; until: number }>();

  return async function authenticate(header: string | undefined, scope: Scope): Promise<ApiKey> {
    const token = /^Bearer ([\x21-\x7e]{1,200})$/i.exec(header ?? '')?.[1];
    if (!token) throw new ApiError('unauthorized', 'Send the API key as "Authorization: Bearer <key>".');
    const hash = hashApiKey(token);
    const id = hash.toString('base64');
    let known = cache.get(id);
    if (!known || known.until < performance.now()) {
      const key = await findApiKey(db.kysely, hash);
      cache.delete(id);
      if (!key) throw new ApiError('unauthorized', 'This API key is not known, was revoked or has expired.');
      known = { key, until: performance.now() + CACHE_MS };
      if (cache.size >= CACHE_ENTRIES) cache.delete(cache.keys().next().value!);
      cache.set(id, known);
    }
    if (!known.key.scopes.includes(scope)) {
      throw new ApiError('forbidden', `This needs an API key with the scope "${scope}".`);
    }
    return known.key;
  };
}
