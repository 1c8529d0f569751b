import type { z } from 'zod';
import { EVENT_TYPE } from '../../domain/event-types';
import { idPattern } from '../../domain/ids';
import type { Scope } from '../../domain/scopes';
import { type ProblemCode, problemStatus, problemTitle } from '../errors';
import { isPage, type ParamKind, type Route } from '../route';
import { problemOut } from '../schemas/out/problem';
import { type JsonSchema, toJsonSchema } from './json-schema';
import { problemsOf } from './problems';

/** The OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.1), made from the route table and its schemas. */

export type Parameter = {
  name: string;
  in: 'path' | 'query';
  required: boolean;
  description?: string;
  schema: JsonSchema;
};

export type ResponseObject = {
  description: string;
  headers?: Record<string, { $ref: string }>;
  content?: Record<string, { schema: JsonSchema }>;
};

export type Operation = {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  security: ({ apiKey: Scope[] } | { browser: Scope[] })[];
  parameters: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, ResponseObject | { $ref: string }>;
};

export type OpenApiDocument = {
  openapi: '3.1.1';
  info: { title: string; version: string; description: string; license: { name: string; identifier: string } };
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, JsonSchema>;
    responses: Record<string, ResponseObject>;
    headers: Record<string, { description: string; schema: JsonSchema }>;
    securitySchemes: Record<string, object>;
  };
};

const JSON_TYPE = 'application/json';
const PROBLEM_TYPE = 'application/problem+json';
const HEADERS = '#/components/headers/';
const RESPONSES = '#/components/responses/';

const DESCRIPTION = [
  'Durable webhook delivery: publish events, register webhooks, and see and control every delivery.',
  'Unknown fields and query parameters are refused. Every error is a problem document (RFC 9457, `application/problem+json`) with a stable `code`; everything else is `application/json` unless it says otherwise.',
  'Times are RFC 3339 in UTC; durations are texts such as `30s`, `5m` or `2h`.',
  'Lists are newest first, event types by name: pass `next_cursor` as `cursor` until it is null.',
].join('\n\n');

/** The document of these rows. */
export function buildDocument(routes: readonly Route[]): OpenApiDocument {
  const schemas: Record<string, JsonSchema> = {};
  const responses: Record<string, ResponseObject> = {};
  const paths: OpenApiDocument['paths'] = {};
  for (const row of routes) {
    const path = row.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [row.method]: toOperation(row, schemas, responses) };
  }
  const tags = new Set(Object.values(paths).flatMap((path) => Object.values(path).flatMap(({ tags }) => tags)));
  return {
    openapi: '3.1.1',
    info: {
      title: 'Posthorn',
      version: '1',
      description: DESCRIPTION,
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    tags: [...tags].map((name) => ({ name })),
    paths,
    components: {
      schemas: sorted(schemas),
      responses: sorted(responses),
      headers: {
        RequestId: {
          description: 'Identifies the request in the log; taken from the request if it has one',
          schema: { type: 'string' },
        },
        RetryAfter: { description: 'Seconds until another try may succeed', schema: { type: 'string' } },
      },
      securitySchemes: {
        apiKey: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key, `ph_…`. Its scopes say what it may do; each operation names the one that it needs.',
        },
        browser: {
          type: 'http',
          scheme: 'basic',
          description: 'Pages for people only: any user name, and an API key as the password.',
        },
      },
    },
  };
}

type Shared = [schemas: Record<string, JsonSchema>, responses: Record<string, ResponseObject>];

function toOperation(row: Route, ...[schemas, responses]: Shared): Operation {
  const words = row.path.split(/[/:]+/).filter(Boolean);
  return {
    operationId: [row.method, ...words].join('_').replaceAll('-', '_'),
    tags: [row.doc.tag],
    summary: row.doc.summary,
    description: `Needs the scope \`${row.scope}\`.`,
    security: [{ apiKey: [row.scope] }, ...(isPage(row) ? [{ browser: [row.scope] }] : [])],
    parameters: [...pathParameters(row), ...queryParameters(row, schemas)],
    ...(row.body && { requestBody: toRequestBody(row.body, schemas) }),
    responses: {
      ...Object.fromEntries(
        Object.entries(row.doc.answers).map(([status, schema]) => [status, toAnswer(schema, schemas)]),
      ),
      ...problemAnswers(problemsOf(row), schemas, responses),
    },
  };
}

function pathParameters({ path, ids = {} }: Route): Parameter[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => {
    const kind = ids[name];
    return {
      name,
      in: 'path',
      required: true,
      schema: { type: 'string', ...(kind && { pattern: paramPattern(kind) }) },
    };
  });
}

const paramPattern = (kind: ParamKind) => (kind === 'eventTypeName' ? EVENT_TYPE.source : idPattern(kind));

function queryParameters({ query }: Route, schemas: Record<string, JsonSchema>): Parameter[] {
  if (!query) return [];
  const { properties = {}, required = [] } = toJsonSchema(query, schemas);
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description && { description }),
    schema,
  }));
}

function toRequestBody(body: z.ZodType, schemas: Record<string, JsonSchema>): NonNullable<Operation['requestBody']> {
  return {
    required: !body.safeParse(undefined).success,
    content: { [JSON_TYPE]: { schema: toJsonSchema(body, schemas) } },
  };
}

function toAnswer(schema: z.ZodType | 'html' | null, schemas: Record<string, JsonSchema>): ResponseObject {
  return {
    description: 'Success',
    headers: { 'X-Request-Id': { $ref: `${HEADERS}RequestId` } },
    ...(schema === 'html' && { content: { 'text/html': { schema: { type: 'string' } } } }),
    ...(schema && schema !== 'html' && { content: { [JSON_TYPE]: { schema: toJsonSchema(schema, schemas) } } }),
  };
}

/** One answer per status; those with the same codes are one component. */
function problemAnswers(codes: ProblemCode[], ...[schemas, responses]: Shared): Record<string, { $ref: string }> {
  const statuses = [...new Set(codes.map(problemStatus))];
  return Object.fromEntries(
    statuses.map((status) => {
      const own = codes.filter((code) => problemStatus(code) === status);
      const name = own.join('-or-');
      responses[name] ??= toProblemAnswer(status, own, schemas);
      return [status, { $ref: RESPONSES + name }];
    }),
  );
}

function toProblemAnswer(status: number, codes: ProblemCode[], schemas: Record<string, JsonSchema>): ResponseObject {
  const problem = toJsonSchema(problemOut, schemas);
  return {
    description: codes.map((code) => `\`${code}\`: ${problemTitle(code)}`).join('; '),
    headers: {
      'X-Request-Id': { $ref: `${HEADERS}RequestId` },
      ...((status === 429 || status === 503) && { 'Retry-After': { $ref: `${HEADERS}RetryAfter` } }),
    },
    content: {
      [PROBLEM_TYPE]: { schema: { ...problem, properties: { status: { const: status }, code: { enum: codes } } } },
    },
  };
}

const sorted = <T>(record: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
