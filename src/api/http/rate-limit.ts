import type { Response } from 'express';
import { createLimiter } from '../../concurrency/rate-limiter';
import type { RateLimit } from '../../domain/rate-limit';
import { rateLimited } from '../errors';

/** Keys whose rate is remembered. With more, those that were not used for longest are dropped. */
const MAX_KEYS = 10_000;

/**
 * Returns a function that counts one request of an API key against its limit, and sets the answer's header fields of
 * draft-ietf-httpapi-ratelimit-headers-10: `q` requests per `w` seconds; `r` are left, `t` seconds until all are available
 * again. The limits are in memory, so each api process has its own.
 * @throws ApiError rate_limited
 */
export function createRateLimiter(limit: RateLimit) {
  const limiter = createLimiter(limit, MAX_KEYS);
  // `w` is a whole number of seconds, and may be left out.
  const window = limit.perMs % 1_000 === 0 ? `;w=${limit.perMs / 1_000}` : '';
  const policy = `"key";q=${limit.count}${window}`;
  return (keyId: string, res: Response): void => {
    const permit = limiter.take(keyId);
    res.set('ratelimit-policy', policy);
    res.set('ratelimit', `"key";r=${permit.remaining};t=${Math.ceil(permit.fullInMs / 1_000)}`);
    if (!permit.allowed) throw rateLimited('This API key makes too many requests.', permit);
  };
}
