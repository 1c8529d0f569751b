import express, { type Express, type Request, type Response, type Router } from 'express';
import type { ApiKey } from '../db/store/api-keys';
import type { RateLimit } from '../domain/rate-limit';
import { allAtOnce, type Steps } from '../domain/work-budget';
import { vouchFor } from '../http/connections';
import { createAnonymousLimit } from './http/anonymous-limit';
import { createAuthenticator, requireAdmin, requireScope } from './http/auth';
import { answerOnce, readIdempotencyKey } from './http/idempotency';
import { toJson } from './http/json-text';
import { notFoundHandler } from './http/not-found';
import { createRateLimiter } from './http/rate-limit';
import { createBodyReader, type SentBody } from './http/read-body';
import { parseIds, parseInput } from './http/read-input';
import type { Readiness } from './http/readiness';
import { beginRequest, type Locals } from './http/request-log';
import { securityHeaders } from './http/security-headers';
import { sendProblem } from './http/send-problem';
import { LARGE_BODY_BYTES } from './http/time-slices';
import { createUnderWayLimit } from './http/under-way';
import { serveDocument } from './openapi/serve';
import { type AdminContext, type HandlerResult, isPage, type Route } from './route';
import { routes } from './routes';
import type { Services } from './services';

/** Options of the HTTP side: limits, proxies, headers, probes. */
export type HttpOptions = {
  /** Requests that one API key may make. */
  rateLimit: RateLimit;
  /** Of these, how many may be under way at once. */
  requestsUnderWay: number;
  /** Blocks of the proxies whose `X-Forwarded-*` count. */
  trustedProxies: string[];
  /** `Strict-Transport-Security` on every answer, not only on those over TLS. */
  hsts: boolean;
  /** What `/readyz` says. */
  readiness: Readiness;
  /** Served before everything else. */
  router?: Router | undefined;
};

/** The HTTP API: every row of the route table, behind authentication and validation; and the probes. */
export function createApp(services: Services, options: HttpOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', options.trustedProxies.length > 0 ? options.trustedProxies : false);
  app.use(beginRequest(services.log));
  app.use(securityHeaders({ always: options.hsts }));
  if (options.router) app.use(options.router);
  app.get('/livez', (_req, res) => void res.json({ status: 'ok' }));
  const limitProbe = createAnonymousLimit();
  app.get('/readyz', (req, res, next) => {
    limitProbe(req, res);
    options.readiness.answer().then(({ status, body }) => res.status(status).json(body), next);
  });

  const limitAnonymous = createAnonymousLimit();
  app.use(serveDocument(routes, limitAnonymous));

  const authenticate = createAuthenticator(services, limitAnonymous);
  const limitRate = createRateLimiter(options.rateLimit);
  const whileUnderWay = createUnderWayLimit(options.requestsUnderWay);
  const readBody = createBodyReader();
  const api = express.Router();
  for (const row of routes) api[row.method](row.path, (req, res, next) => void serve(row, req, res).catch(next));
  app.use('/api/v1', api);
  app.use(notFoundHandler(routes, limitAnonymous));
  app.use(sendProblem(services.log));
  return app;

  async function serve(row: Route, req: Request, res: Response): Promise<void> {
    const locals = res.locals as Locals;
    locals.route = `${row.method.toUpperCase()} ${row.path}`;
    const key = await authenticate(req, res, isPage(row));
    vouchFor(req.socket);
    if (key.kind === 'tenant') locals.tenantId = key.tenantId;
    limitRate(key.id, res);
    await whileUnderWay(key.id, req, res, () => answer(row, key, req, res));
  }

  async function answer(row: Route, key: ApiKey, req: Request, res: Response): Promise<void> {
    const handle = handlerFor(row, key);
    const ids = parseIds(row, req.params as Record<string, string>);
    const query = parseInput(row.query, req.query, 'query');
    // Idempotency keys belong to the tenant; those of an admin key, which has no tenant, belong to that key.
    const tenantId = key.kind === 'tenant' ? key.tenantId : key.id;
    services.recentTenants.saw(tenantId);
    let leave = () => {};
    try {
      // Bodies are read only once the key is known to be good.
      const sent = row.body ? await readBody(req, res, parse) : undefined;
      const context: AdminContext<unknown, unknown> = {
        services,
        actor: key.id,
        ids,
        query,
        body: parseInput(row.body, sent?.value, 'body'),
        ifMatch: req.headers['if-match'],
        bodyText: sent?.text ?? '',
        requestId: (res.locals as Locals).requestId,
        gone: goneSignal(res),
        inSlices: (steps) => services.timeSlices.run(tenantId, steps),
        idempotencyKey: row.method === 'post' ? readIdempotencyKey(req, sent?.bytes) : undefined,
      };
      const own = row.scope !== 'admin' && row.idempotency === 'own';
      const work = () => (own ? handle(context) : answerOnce({ ...context, tenantId }, handle));
      const permits = row.method === 'get' ? services.reads : services.changes;
      send(res, await (row.permit === 'own' ? work() : permits.run(tenantId, work)));
    } finally {
      leave();
    }

    /** Parses a body. A large one waits until its tenant may have another one in memory, and is parsed in time slices. */
    async function parse(bytes: Buffer, steps: Steps<SentBody>): Promise<SentBody> {
      if (bytes.length < LARGE_BODY_BYTES) return allAtOnce(steps);
      leave = await services.timeSlices.admit(tenantId, bytes.length);
      return services.timeSlices.run(tenantId, steps);
    }
  }
}

/** Aborts when the answer is sent, or earlier if the caller disconnects. */
function goneSignal(res: Response): AbortSignal {
  const gone = new AbortController();
  // With a reason given, because Node would otherwise make an error with a stack for each answer.
  res.once('close', () => gone.abort('closed'));
  return gone.signal;
}

function send(res: Response, { status, headers = {}, html, body }: HandlerResult): void {
  res.status(status).set(headers);
  if (html !== undefined) res.type('html').send(html);
  else if (body === undefined) res.end();
  else {
    if (!headers['content-type']) res.type('json');
    res.send(toJson(body));
  }
}

/**
 * The handler of this row for this key. A handler's tenant is always that of the key.
 * @throws ApiError forbidden
 */
function handlerFor(row: Route, key: ApiKey): (context: AdminContext<unknown, unknown>) => Promise<HandlerResult> {
  if (row.scope === 'admin') {
    requireAdmin(key);
    return row.handler;
  }
  const { handler } = row;
  const tenantId = requireScope(key, row.scope);
  return (context) => handler({ ...context, tenantId });
}
