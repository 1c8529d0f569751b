import type { NextFunction, Request, Response } from 'express';

const HEADERS = {
  'x-content-type-options': 'nosniff',
  // Answers are data: a browser that opens one loads, runs and frames nothing.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** A year: the least that browsers' preload lists require. */
const TRANSPORT_SECURITY = 'max-age=31536000';

/**
 * Sets the headers of every answer; a page for browsers overrides the policy. `req.secure` is TLS on
 * this connection, or what a trusted proxy says (RFC 6797, section 7.2: never over plain HTTP).
 */
export function securityHeaders({ always }: { always: boolean }) {
  return (req: Request, res: Response, next: NextFunction): void => {
    res.set(HEADERS);
    if (always || req.secure) res.set('strict-transport-security', TRANSPORT_SECURITY);
    next();
  };
}
