import { Client } from 'pg';
import { type Database, openDatabase } from '../../src/db/database';
import { ensureTenantKey, generateApiKey } from '../../src/db/store/api-keys';
import { type Answer, TestApi } from '../support/api';
import type { Installation } from '../support/installation';

/** Looks into the installation's database, past the API. */
export async function sql<Row extends object>(
  { databaseUrl }: Pick<Installation, 'databaseUrl'>,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** The API as another tenant of the same installation sees it. */
export async function otherTenant(
  posthorn: Pick<Installation, 'api' | 'databaseUrl'>,
  name = 'other',
): Promise<TestApi> {
  const key = generateApiKey('test');
  await withDatabase(posthorn, ({ kysely }) => ensureTenantKey(kysely, name, key));
  return new TestApi(posthorn.api.url, key);
}

/** Does something with the installation's database by Posthorn's own functions. */
export async function withDatabase<T>(
  { databaseUrl }: Pick<Installation, 'databaseUrl'>,
  work: (db: Database) => Promise<T>,
): Promise<T> {
  const db = openDatabase({ url: databaseUrl, poolSize: 1, applicationName: 'test', planner: 'default' });
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

/** A request as it is, for what `TestApi.call` would make good. `key: null` sends no key. */
export async function send(
  api: TestApi,
  method: string,
  path: string,
  {
    body,
    headers,
    key = api.key,
  }: { body?: string | Uint8Array; headers?: Record<string, string>; key?: string | null } = {},
): Promise<Answer> {
  const response = await fetch(`${api.url}${path}`, {
    method,
    headers: { ...(key !== null && { authorization: `Bearer ${key}` }), ...headers },
    ...(body !== undefined && { body }),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : undefined, headers: response.headers };
}

/** Every error is problem details (RFC 9457) with a stable code, and names its request. */
export function expectProblem({ status, body, headers }: Answer, wanted: { status: number; code: string }): void {
  expect({ status, code: body.code }).toEqual(wanted);
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(body).toMatchObject({
    type: `urn:posthorn:problem:${wanted.code}`,
    status: wanted.status,
    title: expect.stringMatching(/./),
    detail: expect.stringMatching(/./),
    request_id: headers.get('x-request-id'),
  });
}

/** A 422 that names this field, and a rule that says what it should be. */
export function expectBadField(answer: Answer, field: string, rule: RegExp): void {
  expectProblem(answer, { status: 422, code: 'validation_failed' });
  expect(answer.body.errors).toContainEqual({ field, rule: expect.stringMatching(rule) });
}
