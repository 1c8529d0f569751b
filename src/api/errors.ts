import { OutcomeUnknownError } from '../db/statement-errors';

/** Every error of the API: the closed list that docs/errors.md repeats. */
const PROBLEMS = {
  malformed_json: { status: 400, title: 'The body is not valid JSON' },
  unauthorized: { status: 401, title: 'A valid API key is needed' },
  forbidden: { status: 403, title: 'The API key lacks the scope' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'The path exists, the method does not' },
  state_conflict: { status: 409, title: 'The state does not allow this' },
  idempotency_in_progress: { status: 409, title: 'The request with this key is still being served' },
  precondition_failed: { status: 412, title: 'It was changed meanwhile' },
  body_too_large: { status: 413, title: 'The body is over the limit' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  validation_failed: { status: 422, title: 'The request breaks a rule' },
  publish_too_costly: { status: 422, title: 'Publishing this costs too much' },
  idempotency_mismatch: { status: 422, title: 'This idempotency key was used for another request' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal_error: { status: 500, title: 'Something went wrong here' },
  database_unavailable: { status: 503, title: 'The database cannot be reached' },
  query_too_slow: { status: 503, title: 'The query takes too long' },
  workflow_engine_unavailable: { status: 503, title: 'The workflow engine cannot be reached' },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;
export const PROBLEM_CODES = Object.keys(PROBLEMS) as ProblemCode[];
export const problemStatus = (code: ProblemCode): number => PROBLEMS[code].status;
export const problemTitle = (code: ProblemCode): string => PROBLEMS[code].title;

/** What is wrong with one field: its path, and the rule it breaks. */
export type FieldProblem = { field: string; rule: string };

/** The most fields that one answer names. */
export const MAX_ERRORS = 50;
/** The most characters of a path, and of a rule: both may contain text that the caller sent. */
const MAX_FIELD_CHARACTERS = 256;
const MAX_RULE_CHARACTERS = 512;

/** The first `limit` errors, shortened if they are too long, and how many were omitted: `omitted` plus those over the limit. */
export function shortErrors(
  fields: readonly FieldProblem[],
  limit = MAX_ERRORS,
  omitted = 0,
): { errors: FieldProblem[]; errors_omitted?: number } {
  const errors = fields
    .slice(0, limit)
    .map(({ field, rule }) => ({ field: short(field, MAX_FIELD_CHARACTERS), rule: short(rule, MAX_RULE_CHARACTERS) }));
  const left = Math.max(0, fields.length - limit) + omitted;
  return { errors, ...(left > 0 && { errors_omitted: left }) };
}

const short = (text: string, limit: number) => (text.length <= limit ? text : `${text.slice(0, limit - 1)}…`);

/** An error answer. Thrown anywhere below a handler; the message is shown to the caller. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly code: ProblemCode,
    detail: string,
    readonly fields: FieldProblem[] = [],
    /** Seconds until another try may succeed, if that is known. */
    readonly retryAfterSeconds?: number,
    /** How many more fields break a rule and are not in `fields`. */
    readonly fieldsOmitted = 0,
  ) {
    super(detail);
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  /** The body: problem details as in RFC 9457, with a stable `code`. */
  toProblem(requestId: string): Record<string, unknown> {
    return {
      type: `urn:posthorn:problem:${this.code}`,
      title: PROBLEMS[this.code].title,
      status: this.status,
      code: this.code,
      detail: this.message,
      ...(this.fields.length > 0 && shortErrors(this.fields, MAX_ERRORS, this.fieldsOmitted)),
      request_id: requestId,
    };
  }
}

export const notFound = (what: string) => new ApiError('not_found', `There is no ${what} with this id.`);

export const noSuchEventType = () => new ApiError('not_found', 'There is no event type of this name.');
export const bodyTooLarge = () => new ApiError('body_too_large', 'The body may have at most 1 MiB.');

/** A 429 that says when the next request is allowed. */
export function rateLimited(detail: string, { nextInMs }: { nextInMs: number }): ApiError {
  return new ApiError('rate_limited', detail, [], Math.max(1, Math.ceil(nextInMs / 1_000)));
}

/** `Retry-After` of a 503. */
export const RETRY_AFTER_SECONDS = 5;

/** `Retry-After` of a repetition whose first request is still being served: most take milliseconds. */
export const IN_PROGRESS_RETRY_AFTER_SECONDS = 1;

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** The headers of an error answer, besides those of every answer. */
export function problemHeaders(problem: ApiError): Record<string, string> {
  const retryAfter =
    problem.code === 'idempotency_in_progress'
      ? IN_PROGRESS_RETRY_AFTER_SECONDS
      : (problem.retryAfterSeconds ?? (problem.status === 503 ? RETRY_AFTER_SECONDS : undefined));
  return {
    'content-type': PROBLEM_TYPE,
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    ...(problem.status === 401 && { 'www-authenticate': 'Bearer' }),
  };
}

/** SQLSTATE of a statement that exceeded its time limit. */
const TIMED_OUT = '57014';
/**
 * SQLSTATE classes of a server that is unavailable or shutting down: connection, resources, operator intervention; and of a
 * session that it ended because we left a transaction idle.
 */
const UNAVAILABLE_SQLSTATE = /^(08|53|57|25P0[34])/;
const UNAVAILABLE_ERRNO = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'ENOENT'],
  ...['EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
]);
/** Messages of pg's errors without a code: a lost connection, a timeout, an answer that nothing asked for. */
const UNAVAILABLE_MESSAGE =
  /Connection terminated|is not queryable|timeout exceeded when trying to connect|timeout expired|Query read timeout|Received unexpected \w+ message from backend|error establishing an SSL connection/;

/** Maps anything that was thrown to an error answer; an unknown error becomes an opaque 500. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  // Thrown by Express for a path such as /%zz.
  if (error instanceof URIError) return new ApiError('not_found', 'There is nothing at this path.');
  const { type, code = '', message = '' } = (error ?? {}) as { type?: string; code?: unknown; message?: string };
  switch (type) {
    case 'entity.too.large':
      return bodyTooLarge();
    case 'encoding.unsupported':
      return new ApiError('unsupported_media_type', 'The body must be JSON in UTF-8, not compressed.');
    case 'request.size.invalid':
    case 'request.aborted':
      return new ApiError('malformed_json', 'The body ended early.');
  }
  if (error instanceof OutcomeUnknownError) {
    return new ApiError(
      'database_unavailable',
      'The connection to the database was lost before it was known whether this was done. Check, or repeat the request with its Idempotency-Key.',
    );
  }
  const text = String(code);
  if (text === TIMED_OUT) {
    return new ApiError(
      'query_too_slow',
      'A statement ran out of time. Ask for less, such as a narrower window of time, or try again in a moment.',
    );
  }
  if (UNAVAILABLE_SQLSTATE.test(text) || UNAVAILABLE_ERRNO.has(text) || UNAVAILABLE_MESSAGE.test(message)) {
    return new ApiError('database_unavailable', 'The database cannot be reached. Try again in a moment.');
  }
  return new ApiError('internal_error', 'The request could not be served. The request id names it in the logs.');
}
