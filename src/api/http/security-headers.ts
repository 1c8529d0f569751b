import type { NextFunction, Request, Response } from 'express';

const HEADERS = {
  'x-content-type-options': 'nosniff',
  // Answers are data: a browser that is led to one loads, runs and frames nothing.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** A year: what browsers' preload lists ask for at least. */
const TRANSPORT_SECURITY = 'max-age=31536000';

/**
 * Sets what every answer carries; a page that is made for browsers sets its own policy over it. `req.secure` is TLS on
 * this connection, or what a trusted proxy says (RFC 6797, section 7.2: never over plain HTTP).
 */
export function securityHeaders({ always }: { always: boolean }) {
  return (req: Request, res: Response, next: NextFunction): void => {
    res.set(HEADERS);
    if (always || req.secure) res.set('strict-transport-security', TRANSPORT_SECURITY);
    next();
  };
}
