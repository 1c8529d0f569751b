import { createHash } from 'node:crypto';
import { type Request, type Response, Router } from 'express';
import { HTML_PAGE_HEADERS } from '../html/html-page';
import type { Route } from '../route';
import { docsPage } from './docs-page';
import { buildDocument } from './document';

/** The document changes with a release only; a proxy may keep it for this long. */
const MAX_AGE_SECONDS = 300;
/** `/openapi.json`, and `/docs` for people. Neither needs a key: both are the same in every installation of this version. */
export function serveDocument(routes: readonly Route[], limitAnonymous: (req: Request, res: Response) => void): Router {
  // Created at the first request: most processes never get one.
  const document = once(() => buildDocument(routes));
  const json = once(() => cached(JSON.stringify(document())));
  const page = once(() => cached(docsPage(document())));
  const router = Router();
  router.get('/openapi.json', (req, res) => {
    limitAnonymous(req, res);
    send(res.type('application/json'), json());
  });
  router.get('/docs', (req, res) => {
    limitAnonymous(req, res);
    send(res.type('text/html').set(HTML_PAGE_HEADERS), page());
  });
  return router;
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Bytes, not text: created once, and shared by all answers that are being sent. */
type Cached = { bytes: Buffer; etag: string };

function cached(text: string): Cached {
  return { bytes: Buffer.from(text), etag: `"${createHash('sha256').update(text).digest('base64url')}"` };
}

/** Answers 304 if the caller has it already (RFC 9110 13.1.2). */
function send(res: Response, { bytes, etag }: Cached): void {
  res
    .set('cache-control', `public, max-age=${MAX_AGE_SECONDS}`)
    .set('etag', etag)
    .set('x-content-type-options', 'nosniff')
    .send(bytes);
}
