import type { Request, Response } from 'express';
import { rateLimited } from '../errors';

/** Most requests take milliseconds, so another one may soon be made. */
const RETRY_AFTER_MS = 1_000;

/**
 * Returns a function that serves a request unless `max` requests of its API key are under way. A request is under way
 * until its handler has ended, also if the caller has disconnected, and until its answer is read.
 * @throws ApiError rate_limited, and what `work` throws
 */
export function createUnderWayLimit(max: number) {
  const underWay = new Map<string, number>();
  const add = (keyId: string, change: 1 | -1) => {
    const count = (underWay.get(keyId) ?? 0) + change;
    if (count === 0) underWay.delete(keyId);
    else underWay.set(keyId, count);
  };

  return async function whileUnderWay(keyId: string, req: Request, res: Response, work: () => Promise<void>) {
    if ((underWay.get(keyId) ?? 0) >= max) {
      throw rateLimited(`This API key has ${max} requests under way, as many as it may.`, { nextInMs: RETRY_AFTER_MS });
    }
    add(keyId, 1);
    let gone = res.closed || req.socket.destroyed;
    let ended = false;
    const release = () => {
      if (gone && ended) add(keyId, -1);
    };
    if (!gone) {
      res.once('close', () => {
        gone = true;
        release();
      });
    }
    try {
      await work();
    } finally {
      ended = true;
      release();
    }
  };
}
