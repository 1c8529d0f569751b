import { randomUUID } from 'node:crypto';
import express, { type Express, type NextFunction, type Request, type Response, type Router } from 'express';
import type { ZodError } from 'zod';
import { weeksAhead } from '../db/partitions';
import { parsePublicId } from '../domain/ids';
import { createAuthenticator } from './auth';
import { ApiError, type FieldProblem, notFound, RETRY_AFTER_SECONDS, toApiError } from './errors';
import type { Route } from './route';
import { routes } from './routes';
import type { Services } from './services';

const MAX_BODY = '1mb';
/** Below this, publishing would soon fail for want of a partition. */
const MIN_WEEKS_AHEAD = 2;

type WithRawBody = { rawBody?: Buffer };
type Locals = { requestId: string; began: number; route?: string; tenantId?: string; problem?: string };

/** The HTTP API: every row of the route table behind authentication and validation, and the probes. */
export function createApp(services: Services, extra?: Router): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(begin(services));
  if (extra) app.use(extra);
  app.get('/livez', (_req, res) => void res.json({ status: 'ok' }));
  app.get('/readyz', (_req, res, next) =>
    readiness(services).then(({ status, body }) => res.status(status).json(body), next),
  );

  const authenticate = createAuthenticator(services.db);
  const json = express.json({
    limit: MAX_BODY,
    strict: false,
    inflate: false,
    verify: (req, _res, buffer) => {
      (req as WithRawBody).rawBody = buffer;
    },
  });
  const api = express.Router();
  for (const row of routes) api[row.method](row.path, (req, res, next) => void serve(row, req, res).catch(next));
  app.use('/api/v1', api);
  app.use((req, _res, next) => next(missing(req)));
  app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => fail(services, error, res));
  return app;

  async function serve(row: Route, req: Request, res: Response): Promise<void> {
    const locals = res.locals as Locals;
    locals.route = `${row.method.toUpperCase()} ${row.path}`;
    const key = await authenticate(req.headers.authorization, row.scope);
    locals.tenantId = key.tenantId;
    const ids = parseIds(row, req.params as Record<string, string>);
    const query = parse(row.query, req.query, 'query');
    if (row.body) await readBody(req, res);
    const answer = await row.handler({
      services,
      tenantId: key.tenantId,
      actor: key.id,
      ids,
      query,
      body: parse(row.body, req.body, 'body'),
      rawBody: (req as WithRawBody).rawBody ?? Buffer.alloc(0),
    });
    res.status(answer.status).set(answer.headers ?? {});
    if (answer.body === undefined) res.end();
    else res.json(answer.body);
  }

  /** Bodies are read only once the key is known to be good. */
  async function readBody(req: Request, res: Response): Promise<void> {
    await new Promise<void>((resolve, reject) => json(req, res, (error) => (error ? reject(error) : resolve())));
    const sent =
      req.headers['content-length'] !== '0' && (req.headers['content-length'] ?? req.headers['transfer-encoding']);
    if (sent && req.body === undefined) {
      throw new ApiError('unsupported_media_type', 'Send the body with "Content-Type: application/json".');
    }
  }
}

function parseIds(row: Route, params: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row.ids ?? {}).map(([name, kind]) => {
      const uuid = parsePublicId(kind, params[name] ?? '');
      if (!uuid) throw notFound(kind);
      return [name, uuid];
    }),
  );
}

function parse(schema: Route['body'], value: unknown, where: 'body' | 'query'): unknown {
  if (!schema) {
    if (where === 'query' && Object.keys(value as object).length > 0) {
      const fields = Object.keys(value as object).map((field) => ({ field, rule: 'is not known here' }));
      throw new ApiError('validation_failed', 'The query has parameters that are not known.', fields);
    }
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ApiError('validation_failed', `The ${where} breaks a rule.`, toFields(parsed.error));
}

/** One line per broken rule; a field that is not known is named itself. */
function toFields(error: ZodError): FieldProblem[] {
  return error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ field: [...issue.path, key].join('.'), rule: 'is not known here' }))
      : [{ field: issue.path.join('.') || 'body', rule: issue.message }],
  );
}

function missing(req: Request): ApiError {
  const known = routes.some((row) => row.method !== req.method.toLowerCase() && pathMatches(row, req.path));
  return known
    ? new ApiError('method_not_allowed', `${req.method} is not served on this path.`)
    : new ApiError('not_found', 'There is nothing at this path.');
}

function pathMatches(row: Route, path: string): boolean {
  const pattern = row.path.replace(/:[a-z]+/g, '[^/]+');
  return new RegExp(`^/api/v1${pattern}/?$`).test(path);
}

/** A request id goes in and out; one canonical log line per request, of allow-listed fields. */
function begin({ log }: Services) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const given = req.headers['x-request-id'];
    const requestId = typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
    const locals = res.locals as Locals;
    locals.requestId = requestId;
    locals.began = performance.now();
    res.set('x-request-id', requestId);
    res.on('close', () => {
      if (!locals.route && res.statusCode < 500) return;
      log.info({
        event: 'request',
        request_id: requestId,
        route: locals.route ?? req.method,
        status: res.statusCode,
        duration_ms: Math.round((performance.now() - locals.began) * 10) / 10,
        ...(locals.problem && { problem: locals.problem }),
        ...(locals.tenantId && { tenant: locals.tenantId }),
      });
    });
    next();
  };
}

function fail({ log }: Services, error: unknown, res: Response): void {
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
  if (problem.status === 503) res.set('retry-after', String(RETRY_AFTER_SECONDS));
  if (problem.status === 401) res.set('www-authenticate', 'Bearer');
  res.status(problem.status).type('application/problem+json').json(problem.toProblem(locals.requestId));
}

/** Ready means: publishing works. Temporal being away is shown, and does not make the API unready. */
async function readiness({ db, engine }: Services): Promise<{ status: number; body: unknown }> {
  const [weeks, temporal] = await Promise.all([
    weeksAhead(db.pool, Date.now()).catch(() => undefined),
    engine.reachable(),
  ]);
  const ready = weeks !== undefined && weeks >= MIN_WEEKS_AHEAD;
  return {
    status: ready ? 200 : 503,
    body: {
      status: ready ? 'ready' : 'not_ready',
      database: weeks === undefined ? 'unreachable' : 'ok',
      ...(weeks !== undefined && { partition_weeks_ahead: weeks }),
      temporal: temporal ? 'ok' : 'unreachable',
    },
  };
}
