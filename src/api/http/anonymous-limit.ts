import type { Request, Response } from 'express';
import { createLimiter } from '../../concurrency/rate-limiter';
import { addressBlock } from '../../http/address-block';
import { noteOverLimit } from '../../http/connections';
import { rateLimited } from '../errors';

/** Requests without a good key from one address: ten a second, which is more than people and probes make. */
const REQUESTS = { count: 600, perMs: 60_000 };
const ADDRESSES = 10_000;

/**
 * Returns a function that counts one request without a good API key against the limit of its address. A request over the
 * limit closes its connection: what was sent after it is not served.
 * @throws ApiError rate_limited
 */
export function createAnonymousLimit() {
  const limiter = createLimiter(REQUESTS, ADDRESSES);
  return (req: Request, res: Response): void => {
    const permit = limiter.take(addressBlock(req.ip));
    if (permit.allowed) return;
    res.set('connection', 'close');
    noteOverLimit(req.socket);
    const { count, perMs } = REQUESTS;
    const rule = `more than ${count} at once, or ${count / (perMs / 1_000)} a second`;
    throw rateLimited(`Too many requests without a good API key came from this address: ${rule}.`, permit);
  };
}
