import type { NextFunction, Request, Response } from 'express';
import { ApiError } from './errors';
import type { Route } from './route';

/** What no row of the table serves: a path that does not exist, or one that exists for other methods. */
export function nothingHere(routes: readonly Route[]) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const methods = routes.filter((row) => pathMatches(row, req.path)).map((row) => row.method.toUpperCase());
    if (methods.length === 0) {
      next(new ApiError('not_found', 'There is nothing at this path.'));
      return;
    }
    res.set('allow', [...new Set(methods)].join(', ')); // RFC 9110 15.5.6
    next(new ApiError('method_not_allowed', `${req.method} is not served on this path.`));
  };
}

function pathMatches(row: Route, path: string): boolean {
  const pattern = row.path.replace(/:[a-z]+/g, '[^/]+');
  return new RegExp(`^/api/v1${pattern}/?$`).test(path);
}
