import express, { type Express, type Request, type Response, type Router } from 'express';
import { createAuthenticator } from './auth';
import { serveDocument } from './openapi/serve';
import { createBodyReader } from './read-body';
import { parseIds, parseInput } from './read-input';
import { readiness } from './readiness';
import { beginRequest, type Locals } from './request-log';
import type { Route } from './route';
import { routes } from './routes';
import { sendProblem } from './send-problem';
import type { Services } from './services';
import { nothingHere } from './unknown-path';

/** The HTTP API: every row of the route table behind authentication and validation, and the probes. */
export function createApp(services: Services, extra?: Router): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(beginRequest(services.log));
  if (extra) app.use(extra);
  app.get('/livez', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', (_req, res, next) =>
    readiness(services).then(({ status, body }) => res.status(status).json(body), next),
  );

  app.use(serveDocument(routes));

  const authenticate = createAuthenticator(services.db);
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
    const key = await authenticate(req.headers.authorization, row.scope);
    locals.tenantId = key.tenantId;
    const ids = parseIds(row, req.params as Record<string, string>);
    const query = parseInput(row.query, req.query, 'query');
    // Bodies are read only once the key is known to be good.
    const sent = row.body ? await readBody(req, res) : undefined;
    const answer = await row.handler({
      services,
      tenantId: key.tenantId,
      actor: key.id,
      ids,
      query,
      body: parseInput(row.body, sent?.value, 'body'),
      bodyText: sent?.text ?? '',
    });
    res.status(answer.status).set(answer.headers ?? {});
    if (answer.body === undefined) res.end();
    else res.json(answer.body);
  }
}
