import type { z } from 'zod';
import type { IdempotencyKey } from '../db/publish/idempotent-requests';
import type { IdKind } from '../domain/ids';
import type { TenantScope } from '../domain/scopes';
import type { Steps } from '../domain/work-budget';
import type { ProblemCode } from './errors';
import type { Services } from './services';

/** `body` is sent as JSON; `html` instead of it: a page for people. */
export type HandlerResult = { status: number; body?: unknown; html?: string; headers?: Record<string, string> };

/** What a `:name` of a path may be: a public id, or the name of an event type. */
export type ParamKind = IdKind | 'eventTypeName';

/** What the handler of an admin route gets: input that its schemas have passed, and no tenant. */
export type AdminContext<Body, Query> = {
  services: Services;
  /** The uuid of the API key, for the audit log. */
  actor: string;
  /** Ids of the path, as uuids; names as they are. */
  ids: Record<string, string>;
  body: Body;
  query: Query;
  /** The header `If-Match`, as it was written. */
  ifMatch: string | undefined;
  /** The body as it was written. */
  bodyText: string;
  /** Public, as the caller sees it. */
  requestId: string;
  /** Aborts when the client has gone: nobody hears the answer. */
  gone: AbortSignal;
  /** Does work on the event loop that may be long, in turns with that of other tenants. */
  inSlices: <T>(steps: Steps<T>) => Promise<T>;
  /** Of a POST with an `Idempotency-Key`. */
  idempotencyKey?: IdempotencyKey | undefined;
  /** A uuid that names this use of the key: the same where the request was cut short and is served again. */
  idempotencyId?: string;
};

/** What the OpenAPI document says of a row beyond what its other members say. */
export type RouteDoc = {
  tag: string;
  summary: string;
  /** What is answered where all is well, by status; `null`: no body; `html`: a page for people. */
  answers: Record<number, z.ZodType | 'html' | null>;
  /** Problems besides those that every row of its kind can have: see ./openapi/problems.ts. */
  problems?: ProblemCode[];
};

/** What a tenant's handler gets: the same, and whose key it was. */
export type Context<Body, Query> = AdminContext<Body, Query> & { tenantId: string };

type Row<Body, Query> = {
  /** `own`: its handler waits for what holds no connection, and takes its tenant's turn only for what does. */
  permit?: 'own';
  method: 'get' | 'post' | 'patch' | 'delete';
  /** Express path below /api/v1; each `:name` is of the kind that `ids` gives. */
  path: string;
  ids?: Record<string, ParamKind>;
  body?: z.ZodType<Body>;
  query?: z.ZodType<Query>;
  doc: RouteDoc;
};

/** A row for keys of tenants that have the scope. */
export type TenantRoute<Body = unknown, Query = unknown> = Row<Body, Query> & {
  scope: TenantScope;
  /** `own`: the handler sees to the `Idempotency-Key` itself, for less than {@link answerOnce} costs. */
  idempotency?: 'own';
  handler: (context: Context<Body, Query>) => Promise<HandlerResult>;
};

/** A row for admin keys, which belong to no tenant: a handler that wants one does not fit here. */
export type AdminRoute<Body = unknown, Query = unknown> = Row<Body, Query> & {
  scope: 'admin';
  handler: (context: AdminContext<Body, Query>) => Promise<HandlerResult>;
};

/** One row of the API. Everything about an endpoint stands here; ./app.ts does the rest. */
export type Route = TenantRoute | AdminRoute;

/** Lets each row's handler know the types of its schemas. */
export function route<Body = undefined, Query = undefined>(row: TenantRoute<Body, Query>): Route {
  return row as unknown as Route;
}

export function adminRoute<Body = undefined, Query = undefined>(row: Omit<AdminRoute<Body, Query>, 'scope'>): Route {
  return { ...row, scope: 'admin' } as unknown as Route;
}
