import type { z } from 'zod';
import type { Once } from '../db/idempotent-requests';
import type { IdKind } from '../domain/ids';
import type { Scope } from './auth';
import type { Services } from './services';

/** `html` instead of `body`: a page for people. */
export type Answer = { status: number; body?: unknown; html?: string; headers?: Record<string, string> };

/** What a `:name` of a path may be: a public id, or the name of an event type. */
export type ParamKind = IdKind | 'eventTypeName';

/** What a handler gets: who asks, and input that its schemas have passed. */
export type Context<Body, Query> = {
  services: Services;
  tenantId: string;
  /** The uuid of the API key, for the audit log. */
  actor: string;
  /** Ids of the path, as uuids; names as they are. */
  ids: Record<string, string>;
  body: Body;
  query: Query;
  /** The body as it was written. */
  bodyText: string;
  /** Public, as the caller sees it. */
  requestId: string;
  /** Of a POST with an `Idempotency-Key`. */
  once?: Once | undefined;
  /** A uuid that names this use of the key: the same where the request was cut short and is served again. */
  onceId?: string;
};

/** One row of the API. Everything about an endpoint stands here; ./app.ts does the rest. */
export type Route<Body = unknown, Query = unknown> = {
  method: 'get' | 'post' | 'patch' | 'delete';
  /** Express path below /api/v1; each `:name` is of the kind that `ids` gives. */
  path: string;
  scope: Scope;
  ids?: Record<string, ParamKind>;
  body?: z.ZodType<Body>;
  query?: z.ZodType<Query>;
  /** `own`: the handler sees to the `Idempotency-Key` itself, for less than {@link answerOnce} costs. */
  idempotency?: 'own';
  handler: (context: Context<Body, Query>) => Promise<Answer>;
};

/** Lets each row's handler know the types of its schemas. */
export function route<Body = undefined, Query = undefined>(row: Route<Body, Query>): Route {
  return row as unknown as Route;
}
