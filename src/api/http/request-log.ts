import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';
import { toPublicId } from '../../domain/ids';
import type { Log } from '../../log';

/** What is recorded about a request while it is served. */
export type Locals = { requestId: string; route?: string; tenantId?: string; problem?: string };

/** The format of a caller's request id. Any other is replaced, so that it cannot forge log lines. */
const REQUEST_ID = /^[\w.-]{1,64}$/;

/** Takes or makes the request id, sets it on the answer, and logs one line per request, of allow-listed fields. */
export function beginRequest(log: Log) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const began = performance.now();
    const given = req.headers['x-request-id'];
    const locals = res.locals as Locals;
    locals.requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    res.set('x-request-id', locals.requestId);
    res.on('close', () => {
      // Probes, and paths that do not exist, are not logged: they would hide the rest.
      if (!locals.route && res.statusCode < 500) return;
      log.info({
        event: 'request',
        request_id: locals.requestId,
        route: locals.route ?? req.method,
        status: res.statusCode,
        duration_ms: Math.round((performance.now() - began) * 10) / 10,
        ...(locals.problem && { problem: locals.problem }),
        ...(locals.tenantId && { tenant_id: toPublicId('tenant', locals.tenantId) }),
      });
    });
    next();
  };
}
