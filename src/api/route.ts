import type { z } from 'zod';
import type { IdempotencyKey } from '../db/publish/idempotent-requests';
import type { IdKind } from '../domain/ids';
import type { TenantScope } from '../domain/scopes';
import type { Steps } from '../domain/work-budget';
import type { ProblemCode } from './errors';
import type { Services } from './services';

/** `body` is sent as JSON; `html` instead of it: a page for people. */
export type HandlerResult = { status: number; body?: unknown; html?: string; headers?: Record<string, string> };

/** The kind of a `:name` in a path: a public id, or the name of an event type. */
export type ParamKind = IdKind | 'eventTypeName';

/** The input of an admin route's handler, validated by the row's schemas. It has no tenant. */
export type AdminContext<Body, Query> = {
  services: Services;
  /** The uuid of the API key, for the audit log. */
  actor: string;
  /** Ids of the path, as uuids; names as they are. */
  ids: Record<string, string>;
  body: Body;
  query: Query;
  /** The header `If-Match`, as received. */
  ifMatch: string | undefined;
  /** The body as received. */
  bodyText: string;
  /** As in the header `X-Request-Id`. */
  requestId: string;
  /** Aborts when the client has disconnected: nobody reads the answer. */
  gone: AbortSignal;
  /** Does work that may hold the event loop for long, in time slices shared with other tenants. */
  inSlices: <T>(steps: Steps<T>) => Promise<T>;
  /** Of a POST with an `Idempotency-Key`. */
  idempotencyKey?: IdempotencyKey | undefined;
  /** A uuid of this use of the key: the same if the request was interrupted and is served again. */
  idempotencyId?: string;
};

/** What the OpenAPI document says of a row, beyond what its other members say. */
export type RouteDoc = {
  tag: string;
  summary: string;
  /** Answers of success, by status; `null`: no body; `html`: a page for people. */
  answers: Record<number, z.ZodType | 'html' | null>;
  /** Problems in addition to those of every row of its kind: see ./openapi/problems.ts. */
  problems?: ProblemCode[];
};

/** The input of a tenant route's handler: the same, with the tenant of the key. */
export type Context<Body, Query> = AdminContext<Body, Query> & { tenantId: string };

type Row<Body, Query> = {
  /**
   * `own`: the handler takes its tenant's permits for Postgres itself, because it also waits for things that hold no
   * connection. Without it, ./app.ts takes one for the whole handler.
   */
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
  /** `own`: the handler implements the `Idempotency-Key` itself, at a lower cost than `answerOnce`. */
  idempotency?: 'own';
  handler: (context: Context<Body, Query>) => Promise<HandlerResult>;
};

/** A row for admin keys. They belong to no tenant, so a handler that needs one does not compile here. */
export type AdminRoute<Body = unknown, Query = unknown> = Row<Body, Query> & {
  scope: 'admin';
  handler: (context: AdminContext<Body, Query>) => Promise<HandlerResult>;
};

/** One row of the API: everything that is particular to an endpoint. ./app.ts does what all have in common. */
export type Route = TenantRoute | AdminRoute;

/** Whether a row answers with a page for people, who open it in a browser. */
export const isPage = ({ method, doc }: Route): boolean =>
  method === 'get' && Object.values(doc.answers).includes('html');

/** Gives each row's handler the types of its schemas. */
export function route<Body = undefined, Query = undefined>(row: TenantRoute<Body, Query>): Route {
  return row as unknown as Route;
}

export function adminRoute<Body = undefined, Query = undefined>(row: Omit<AdminRoute<Body, Query>, 'scope'>): Route {
  return { ...row, scope: 'admin' } as unknown as Route;
}
