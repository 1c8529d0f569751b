import express, { type Express, type Request, type Response, type Router } from 'express';
import type { ApiKey } from '../db/api-keys';
import type { RateLimit } from '../domain/rate-limit';
import { createAuthenticator, requireAdmin, requireScope } from './auth';
import { answerOnce, readOnce } from './idempotency';
import { serveDocument } from './openapi/serve';
import { createRateLimiter } from './rate-limit';
import { createBodyReader } from './read-body';
import { parseIds, parseInput } from './read-input';
import { readiness } from './readiness';
import { beginRequest, type Locals } from './request-log';
import type { AdminContext, Answer, Route } from './route';
import { routes } from './routes';
import { securityHeaders } from './security-headers';
import { sendProblem } from './send-problem';
import type { Services } from './services';
import { nothingHere } from './unknown-path';

/** How the API meets the network. */
export type Edge = {
  /** Requests that one API key may make. */
  rateLimit: RateLimit;
  /** Blocks of the proxies whose `X-Forwarded-*` count. */
  trustedProxies: string[];
  /** `Strict-Transport-Security` on every answer, not only on those over TLS. */
  hsts: boolean;
  /** Served before everything else. */
  router?: Router | undefined;
};

/** The HTTP API: every row of the route table behind authentication and validation, and the probes. */
export function createApp(services: Services, edge: Edge): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', edge.trustedProxies.length > 0 ? edge.trustedProxies : false);
  app.use(beginRequest(services.log));
  app.use(securityHeaders({ always: edge.hsts }));
  if (edge.router) app.use(edge.router);
  app.get('/livez', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', (_req, res, next) =>
    readiness(services).then(({ status, body }) => res.status(status).json(body), next),
  );

  app.use(serveDocument(routes));

  const authenticate = createAuthenticator(services.db);
  const limitRate = createRateLimiter(edge.rateLimit);
  const readBody = createBodyReader();
  const api = express.Router();
  for (const row of routes) api[row.method](row.path, (req, res, next) => void serve(row, req, res).catch(next));
  app.use('/api/v1', api);
  app.use(nothingHere(routes));
  app.use(sendProblem(services.log));
  return app;

  async function serve(row: Route, req: Request, res: Response): Promise<void> {
    const locals = res.locals as Locals;
    locals.route = `${row.method.toUpperCase()} ${row.path}`;
    const key = await authenticate(req.headers.authorization, req.ip);
    if (key.kind === 'tenant') locals.tenantId = key.tenantId;
    limitRate(key.id, res);
    const handle = handlerFor(row, key);
    const ids = parseIds(row, req.params as Record<string, string>);
    const query = parseInput(row.query, req.query, 'query');
    // Bodies are read only once the key is known to be good.
    const sent = row.body ? await readBody(req, res) : undefined;
    const context: AdminContext<unknown, unknown> = {
      services,
      actor: key.id,
      ids,
      query,
      body: parseInput(row.body, sent?.value, 'body'),
      ifMatch: req.headers['if-match'],
      bodyText: sent?.text ?? '',
      requestId: locals.requestId,
      gone: goneSignal(res),
      once: row.method === 'post' ? readOnce(req, sent?.bytes) : undefined,
    };
    // Keys of idempotency are a tenant's; those of an admin key, which has none, are its own.
    const tenantId = key.kind === 'tenant' ? key.tenantId : key.id;
    const own = row.scope !== 'admin' && row.idempotency === 'own';
    const answer = await (own ? handle(context) : answerOnce({ ...context, tenantId }, handle));
    res.status(answer.status).set(answer.headers ?? {});
    if (answer.html !== undefined) res.type('html').send(answer.html);
    else if (answer.body === undefined) res.end();
    else res.json(answer.body);
  }
}

function goneSignal(res: Response): AbortSignal {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  return gone.signal;
}

/**
 * What serves this key on this row: the tenant of a handler is that of the key, and comes from nowhere else.
 * @throws ApiError forbidden
 */
function handlerFor(row: Route, key: ApiKey): (context: AdminContext<unknown, unknown>) => Promise<Answer> {
  if (row.scope === 'admin') {
    requireAdmin(key);
    return row.handler;
  }
  const { handler } = row;
  const tenantId = requireScope(key, row.scope);
  return (context) => handler({ ...context, tenantId });
}
