import type { NextFunction, Request, Response } from 'express';
import type { Log } from '../../log';
import { problemHeaders, toApiError } from '../errors';
import type { Locals } from './request-log';

/** The one place that sends error answers, as problem details. The stack of an unexpected error is logged. */
export function sendProblem(log: Log) {
  return (error: unknown, _req: Request, res: Response, _next: NextFunction): void => {
    const problem = toApiError(error);
    const locals = res.locals as Locals;
    locals.problem = problem.code;
    if (problem.code === 'internal_error') {
      const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
      log.error({ event: 'unexpected_error', request_id: locals.requestId, name, message, stack });
    }
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const { 'www-authenticate': challenge, ...headers } = problemHeaders(problem);
    if (challenge === undefined) res.removeHeader('www-authenticate');
    else if (!res.hasHeader('www-authenticate')) res.set('www-authenticate', challenge);
    res.status(problem.status).set(headers).json(problem.toProblem(locals.requestId));
  };
}
