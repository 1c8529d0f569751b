import type { Request, Response } from 'express';
import { rateLimited } from '../errors';

/** Most requests take milliseconds: the next turn is near. */
const NEXT_TURN_MS = 1_000;

/**
 * Returns a function that serves a request of an API key, of which so many may be under way at once: until their handlers
 * have ended, also where the caller has gone, and until their answers are read.
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
      throw rateLimited(`This API key has ${max} requests under way, as many as it may.`, { nextInMs: NEXT_TURN_MS });
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
