import type { z } from 'zod';
import type { IdKind } from '../domain/ids';
import type { Scope } from './auth';
import type { ProblemCode } from './errors';
import type { Services } from './services';

export type Answer = { status: number; body?: unknown; headers?: Record<string, string> };

/** What a handler gets: who asks, and input that its schemas have passed. */
export type Context<Body, Query> = {
  services: Services;
  tenantId: string;
  /** The uuid of the API key, for the audit log. */
  actor: string;
  /** Ids of the path, as uuids. */
  ids: Record<string, string>;
  body: Body;
  query: Query;
  /** The body as it was written. */
  bodyText: string;
};

/** What the OpenAPI document says of a row beyond what its other members say. */
export type RouteDoc = {
  tag: string;
  summary: string;
  /** What is answered where all is well, by status; `null`: no body. */
  answers: Record<number, z.ZodType | null>;
  /** Problems besides those that every row of its kind can have: see ./openapi/problems.ts. */
  problems?: ProblemCode[];
};

/** One row of the API. Everything about an endpoint stands here; ./app.ts does the rest. */
export type Route<Body = unknown, Query = unknown> = {
  method: 'get' | 'post' | 'patch' | 'delete';
  /** Express path below /api/v1; each `:name` is a public id of the kind that `ids` gives. */
  path: string;
  scope: Scope;
  ids?: Record<string, IdKind>;
  body?: z.ZodType<Body>;
  query?: z.ZodType<Query>;
  doc?: RouteDoc;
  handler: (context: Context<Body, Query>) => Promise<Answer>;
};

/** Lets each row's handler know the types of its schemas. */
export function route<Body = undefined, Query = undefined>(row: Route<Body, Query>): Route {
  return row as unknown as Route;
}
