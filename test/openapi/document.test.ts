import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildDocument, type OpenApiDocument } from '../../src/api/openapi/document';
import { sampleOf } from '../../src/api/openapi/sample';
import { adminRoute, route } from '../../src/api/route';
import { routes } from '../../src/api/routes';

const ROOT = path.join(__dirname, '..', '..');
const document = buildDocument(routes);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'posthorn-openapi-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a public linter finds wrong with a document, checked against the specification's own schema of OpenAPI 3.1. */
async function findings(checked: object): Promise<{ valid: boolean; errors?: unknown }> {
  const file = path.join(folder, 'openapi.json');
  writeFileSync(file, JSON.stringify(checked));
  const linter = path.join(ROOT, 'node_modules', '.bin', 'validate-api');
  const { stdout } = await promisify(execFile)(process.execPath, [linter, file]).catch((failed) => failed);
  return JSON.parse(stdout);
}

function operation({ paths }: OpenApiDocument, method: string, at: string) {
  const found = paths[at]?.[method];
  if (!found) throw new Error(`${method} ${at} is not in the document`);
  return found;
}

test('docs/openapi.json is what the route table says', () => {
  expect(readFileSync(path.join(ROOT, 'docs', 'openapi.json'), 'utf8')).toBe(`${JSON.stringify(document, null, 2)}\n`);
});

describe('the linter', () => {
  test('finds nothing', async () => {
    expect(await findings(document)).toEqual({ valid: true });
  });

  test('finds what is wrong', async () => {
    const broken = structuredClone(document);
    delete (operation(broken, 'get', '/events') as { responses?: object }).responses;
    operation(broken, 'get', '/webhooks').parameters[0]!.in = 'nowhere' as 'query';
    expect(await findings(broken)).toMatchObject({ valid: false });
  });
});

test('every row is an operation, with its scope, and ids of its own', () => {
  const ids = new Set<string>();
  for (const row of routes) {
    const one = operation(document, row.method, row.path.replace(/:(\w+)/g, '{$1}'));
    const alsoByBrowser = Object.values(row.doc.answers).includes('html') ? [{ browser: [row.scope] }] : [];
    expect(one.security).toEqual([{ apiKey: [row.scope] }, ...alsoByBrowser]);
    ids.add(one.operationId);
  }
  expect(ids.size).toBe(routes.length);
});

test('every row says what it answers', () => {
  const silent = routes.filter(({ doc }) => Object.keys(doc.answers).length === 0);
  expect(silent.map(({ method, path: at }) => `${method} ${at}`)).toEqual([]);
});

test('a row must say what it answers, and whom it serves: the compiler refuses one that does not', () => {
  const row = { method: 'get', path: '/a', handler: async () => ({ status: 204 }) } as const;
  const doc = { tag: 'A', summary: 'Get it', answers: { 204: null } };
  // @ts-expect-error no doc
  route({ ...row, scope: 'read' });
  // @ts-expect-error no scope
  route({ ...row, doc });
  // @ts-expect-error a scope that no key of a tenant has
  route({ ...row, doc, scope: 'admin' });
  // @ts-expect-error no doc
  adminRoute(row);
  expect(route({ ...row, doc, scope: 'read' })).toMatchObject(row);
});

test('every reference leads to something', () => {
  const text = JSON.stringify(document);
  const targets = new Set([...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, to]) => to!));
  expect(targets.size).toBeGreaterThan(10);
  for (const target of targets) {
    const found = target.split('/').reduce<any>((at, name) => at?.[name], document);
    expect({ target, found: typeof found }).toEqual({ target, found: 'object' });
  }
});

describe('schemas', () => {
  test('show what callers write, not what comes out of it', () => {
    const { requestBody } = operation(document, 'post', '/webhooks');
    const { properties, required } = requestBody!.content['application/json']!.schema;
    expect(required).toEqual(['url', 'events']);
    expect(properties).toMatchObject({
      url: { type: 'string', format: 'uri', maxLength: 2048 },
      timeout: { type: 'string', default: '10s' },
      retry_policy: { $ref: '#/components/schemas/RetryPolicy', default: { preset: 'standard' } },
      circuit_breaker: { anyOf: [{ properties: { window: { type: 'string', default: '1m' } } }, { type: 'null' }] },
    });
  });

  const withBody = routes.filter(({ body }) => body).map((row) => [`${row.method} ${row.path}`, row] as const);

  test.each(withBody)('%s takes the example and the defaults that the document shows', (_name, row) => {
    const { requestBody } = operation(document, row.method, row.path.replace(/:(\w+)/g, '{$1}'));
    const { schema } = requestBody!.content['application/json']!;
    const sample = sampleOf(schema, document.components.schemas) as Record<string, unknown>;
    expect(row.body!.safeParse(sample).error).toBeUndefined();
    for (const [name, { default: value }] of Object.entries(schema.properties ?? {})) {
      const given = value === undefined ? sample : { ...sample, [name]: value };
      expect(row.body!.safeParse(given).error).toBeUndefined();
    }
  });
});

test('a body is required where nothing would be refused', () => {
  expect(operation(document, 'post', '/events').requestBody!.required).toBe(true);
  expect(operation(document, 'post', '/deliveries/{delivery}/cancel').requestBody!.required).toBe(false);
  expect(operation(document, 'post', '/webhooks/{webhook}/secret/rotate').requestBody!.required).toBe(false);
});

test('problems are those that a row can have', () => {
  const statuses = (method: string, at: string) => Object.keys(operation(document, method, at).responses);
  expect(statuses('get', '/deliveries')).toEqual(['200', '401', '403', '422', '429', '500', '503']);
  expect(statuses('post', '/deliveries/{delivery}/cancel')).toEqual([
    '202',
    '400',
    '401',
    '403',
    '404',
    '409',
    '413',
    '415',
    '422',
    '429',
    '500',
    '503',
  ]);
});
