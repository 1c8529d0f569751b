import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../errors';
import type { Route } from '../route';

/** Answers what no row of the table serves: 404, or 405 with `Allow` if the path exists for other methods. */
export function notFoundHandler(routes: readonly Route[], limitAnonymous: (req: Request, res: Response) => void) {
  const rows = routes.map((row) => ({ method: row.method.toUpperCase(), pattern: patternOf(row) }));
  return (req: Request, res: Response, next: NextFunction): void => {
    limitAnonymous(req, res);
    const methods = rows.filter(({ pattern }) => pattern.test(req.path)).map(({ method }) => method);
    if (methods.length === 0) {
      next(new ApiError('not_found', 'There is nothing at this path.'));
      return;
    }
    res.set('allow', [...new Set(methods)].join(', ')); // RFC 9110 15.5.6
    next(new ApiError('method_not_allowed', `${req.method} is not served on this path.`));
  };
}

const patternOf = (row: Route) => new RegExp(`^/api/v1${row.path.replace(/:[a-z]+/g, '[^/]+')}/?$`);
