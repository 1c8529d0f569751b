import { routes } from '../../src/api/routes';
import { STANDARD_EVENT_TYPES } from '../../src/domain/standard-event-types';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, expectProblem, otherTenant, sql } from './support';

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const create = (name: string, settings: object = {}) => posthorn.api.ok('POST', '/event-types', { name, ...settings });
const addVersion = (name: string, version: object) =>
  posthorn.api.call('POST', `/event-types/${name}/versions`, version);
const page = (name: string) =>
  fetch(`${posthorn.api.url}/api/v1/event-types/${name}/docs`, {
    headers: { authorization: `Bearer ${posthorn.api.key}` },
  });

describe('a page in a browser', () => {
  const open = (path: string, authorization?: string) =>
    fetch(`${posthorn.api.url}/api/v1${path}`, { headers: authorization === undefined ? {} : { authorization } });
  const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
  beforeAll(() => create('opened.one'));

  test.each<[string, (key: string) => string]>([
    ['the key as the password', (key) => basic('me', key)],
    ['no name, and the key as the password', (key) => basic('', key)],
    ['the key as the name', (key) => basic(key, '')],
    ['the key as both', (key) => basic(key, key)],
  ])('opens with %s', async (_what, header) => {
    const answer = await open('/event-types/opened.one/docs', header(posthorn.api.key));
    expect({ status: answer.status, challenge: answer.headers.get('www-authenticate') }).toEqual({
      status: 200,
      challenge: null,
    });
    expect(await answer.text()).toContain('<h1><code>opened.one</code></h1>');
  });

  test.each<[string, string | undefined]>([
    ['without a key', undefined],
    ['with another password', basic('me', 'hunter2')],
    ['with a key that is not known', basic('me', `ph_test_${'A'.repeat(43)}`)],
    ['with what is no name and password', 'Basic bWU='],
  ])('is asked for a key %s', async (_what, header) => {
    const answer = await open('/event-types/opened.one/docs', header);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer, Basic realm="[^"]+", charset="UTF-8"$/);
  });

  test.each(['/event-types/opened.one', '/event-types', '/webhooks'])(
    'is all that takes a password: %s does not',
    async (path) => {
      const answer = await open(path, basic('me', posthorn.api.key));
      expect({ status: answer.status, challenge: answer.headers.get('www-authenticate') }).toEqual({
        status: 401,
        challenge: 'Bearer',
      });
    },
  );
});

describe('event types', () => {
  test('are created, shown, changed, and removed with their versions', async () => {
    const { api } = posthorn;
    const made = await create('kept.one', { description: 'First', key_fields: ['id', 'customer.id', 'id'] });
    expect(made).toEqual({
      name: 'kept.one',
      description: 'First',
      deprecated: false,
      key_fields: ['id', 'customer.id'],
      versions: [],
      created_at: expect.any(String),
      updated_at: expect.any(String),
    });
    expectProblem(await api.call('POST', '/event-types', { name: 'kept.one' }), {
      status: 409,
      code: 'state_conflict',
    });
    expect(await api.ok('PATCH', '/event-types/kept.one', { deprecated: true, description: null })).toMatchObject({
      description: null,
      deprecated: true,
      key_fields: ['id', 'customer.id'],
    });
    expect((await addVersion('kept.one', { version: '1.0' })).status).toBe(201);
    expect((await api.call('DELETE', '/event-types/kept.one')).status).toBe(204);
    expectProblem(await api.call('GET', '/event-types/kept.one'), { status: 404, code: 'not_found' });
    expectProblem(await api.call('DELETE', '/event-types/kept.one'), { status: 404, code: 'not_found' });
    expect(await sql(posthorn, `select from event_type_versions where name = 'kept.one'`)).toEqual([]);
    expect(await sql(posthorn, `select action from audit_log where target = 'kept.one' order by id`)).toEqual(
      ['create', 'update', 'version.create', 'delete'].map((action) => ({ action: `event_type.${action}` })),
    );
  });

  test('are listed by name, page by page', async () => {
    const api = await otherTenant(posthorn, 'lists types');
    for (const name of ['b', 'a.c', 'a']) await api.ok('POST', '/event-types', { name });
    const first = await api.ok('GET', '/event-types?limit=2');
    expect(first).toMatchObject({ data: [{ name: 'a' }, { name: 'a.c' }], next_cursor: 'a.c' });
    expect(await api.ok('GET', '/event-types?limit=2&cursor=a.c')).toMatchObject({
      data: [{ name: 'b' }],
      next_cursor: null,
    });
  });

  test.each<[object, string, RegExp]>([
    [{ name: 'Not.this' }, 'name', /dotted/],
    [{ name: 'posthorn.mine' }, 'name', /posthorn\./],
    [{ name: 'a', key_fields: ['a..b'] }, 'key_fields.0', /names with dots/],
    [{ name: 'a', key_fields: Array.from({ length: 21 }, (_, i) => `f${i}`) }, 'key_fields', /20/],
    [{ name: 'a', description: 'x\0' }, 'description', /NUL/],
    [{ name: 'a', schema: {} }, 'schema', /not known/],
  ])('%j is refused', async (body, field, rule) => {
    expectBadField(await posthorn.api.call('POST', '/event-types', body), field, rule);
  });

  test('a name that can be none is answered like one that does not exist', async () => {
    expectProblem(await posthorn.api.call('GET', '/event-types/Not%20this'), { status: 404, code: 'not_found' });
    expect(routes.filter(({ ids }) => ids && 'name' in ids).length).toBeGreaterThan(4);
  });

  test('are no more than 1,000 per tenant', async () => {
    const api = await otherTenant(posthorn, 'has many types');
    await sql(
      posthorn,
      `insert into event_types (tenant_id, name) select t.id, 'many.' || n from tenants t, generate_series(1, 995) n
       where t.name = 'has many types'`,
    );
    expectProblem(await api.call('POST', '/event-types/seed'), { status: 409, code: 'state_conflict' });
    for (let n = 1; n <= 5; n++) await api.ok('POST', '/event-types', { name: `more.${n}` });
    expectProblem(await api.call('POST', '/event-types', { name: 'more.6' }), { status: 409, code: 'state_conflict' });
  });
});

describe('versions', () => {
  beforeAll(() => create('versioned'));

  test('hold a schema and an example, keep the order of fields, and never change', async () => {
    const version = {
      version: '2026-01-31',
      schema: { type: 'object', properties: { zeta: { type: 'string' }, a: { type: 'number' } }, required: ['zeta'] },
      example: { zeta: 'x\u0000\ud800' },
    };
    const answer = await addVersion('versioned', version);
    expect(answer.status).toBe(201);
    expect(answer.body.versions).toEqual([{ ...version, created_at: expect.any(String) }]);
    expect(Object.keys(answer.body.versions[0].schema.properties)).toEqual(['zeta', 'a']);
    expectProblem(await addVersion('versioned', { version: '2026-01-31' }), { status: 409, code: 'state_conflict' });
    expectProblem(await addVersion('versioned.not', version), { status: 404, code: 'not_found' });
  });

  test.each<[what: string, version: object, field: string, rule: RegExp]>([
    ['a version that is none', { version: 'a b' }, 'version', /letters/],
    ['a schema that is no object', { version: '9', schema: [] }, 'schema', /object/],
    [
      'a regular expression',
      { version: '9', schema: { type: 'object', properties: { a: { type: 'string', pattern: '(a+)+$' } } } },
      'schema.properties.a.pattern',
      /keywords/,
    ],
    [
      'a type that does not exist',
      { version: '9', schema: { type: 'object', properties: { a: { type: 'text' } } } },
      'schema.properties.a.type',
      /allowed values/,
    ],
    [
      'a keyword that has no effect',
      { version: '9', schema: { type: 'object', properties: { 'a/b c': { minimum: 1 } } } },
      'schema.properties.a/b c',
      /missing type "number"/,
    ],
    ['a remote reference', { version: '9', schema: { $ref: 'http://127.0.0.1:1/' } }, 'schema.$ref', /\$defs/],
    [
      'an example that does not match',
      {
        version: '9',
        schema: { type: 'object', properties: { total: { type: 'integer' } } },
        example: { total: 'many' },
      },
      'example.total',
      /must be integer/,
    ],
    ['a long example', { version: '9', example: { a: 'x'.repeat(17_000) } }, 'example', /16384/],
  ])('are refused with %s', async (_what, version, field, rule) => {
    expectBadField(await addVersion('versioned', version), field, rule);
    expect(await sql(posthorn, `select from event_type_versions where version = '9'`)).toEqual([]);
  });

  test('are refused with an example too deep to be written', async () => {
    const body = `{"version":"9","example":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`;
    expectBadField(await posthorn.api.call('POST', '/event-types/versioned/versions', body), 'example', /too deep/);
  });

  test('are no more than 20 per type', async () => {
    await create('much.changed');
    for (let n = 1; n <= 20; n++) expect((await addVersion('much.changed', { version: `${n}` })).status).toBe(201);
    expectProblem(await addVersion('much.changed', { version: '21' }), { status: 409, code: 'state_conflict' });
  });
});

describe('the standard types', () => {
  test('are inserted once, with a schema that their examples match', async () => {
    const api = await otherTenant(posthorn, 'seeds');
    await api.ok('POST', '/event-types', { name: 'order.created', description: 'mine' });
    const names = STANDARD_EVENT_TYPES.map(({ name }) => name);
    expect(names).toHaveLength(10);
    expect(await api.ok('POST', '/event-types/seed')).toEqual({ created: names.slice(1), existing: ['order.created'] });
    expect(await api.ok('POST', '/event-types/seed')).toEqual({ created: [], existing: names });
    expect(await api.ok('GET', '/event-types/order.created')).toMatchObject({ description: 'mine', versions: [] });
    for (const { name, example } of STANDARD_EVENT_TYPES.slice(1)) {
      const [version] = (await api.ok('GET', `/event-types/${name}`)).versions;
      // As if somebody had written it: the same schema and example pass registration, and the example publishing.
      await api.ok('POST', `/event-types/${name}/versions`, { ...version, created_at: undefined, version: '1.1' });
      expect((await api.publish(name, example)).id).toMatch(/^evt_/);
      expectProblem(await api.call('POST', '/events', { type: name, data: {} }), {
        status: 422,
        code: 'validation_failed',
      });
    }
  });
});

describe('the page of an event type', () => {
  test('shows what is known, escaped, and lets nothing run', async () => {
    await create('shown.type', {
      description: '<script>alert("d")</script> & more',
      deprecated: true,
      key_fields: ['<b>'],
    });
    await addVersion('shown.type', { version: '1.0' });
    await addVersion('shown.type', {
      version: '2.0',
      schema: {
        type: 'object',
        properties: {
          total: { type: 'integer', description: '<img src=x onerror=alert(1)>' },
          '<i>name</i>': { type: 'string', enum: ['"><b>'] },
        },
        required: ['total'],
      },
      example: { total: 1, '<i>name</i>': '"><b>' },
    });
    const response = await page('shown.type');
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/html; charset=utf-8/);
    expect(response.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]+'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(html).toContain('&#60;script&#62;alert(&#34;d&#34;)&#60;/script&#62; &#38; more');
    expect(html).toContain('deprecated');
    expect(html).toMatch(/<td><code>total<\/code><\/td><td>integer<\/td><td>yes<\/td><td>&#60;img/);
    expect(html.indexOf('Version 2.0')).toBeLessThan(html.indexOf('Version 1.0'));
    expect(html).toContain('&#34;total&#34;: 1');
    // Every tag is one that the page itself writes.
    const tags = new Set([...html.matchAll(/<\/?([a-z0-9]+)/g)].map(([, tag]) => tag));
    const own = 'html head meta title style body h1 h2 h3 p code wbr pre table thead tbody tr th td'.split(' ');
    expect([...tags].filter((tag) => !own.includes(tag!))).toEqual([]);
    expect(html).not.toMatch(/<[^>]+\son\w+=/);
  });

  test('exists for a type without versions, and not for no type', async () => {
    await create('shown.bare');
    expect(await (await page('shown.bare')).text()).toContain('No versions are described');
    expect((await page('shown.not')).status).toBe(404);
  });
});

describe('settings', () => {
  test('are shown and changed one by one', async () => {
    const api = await otherTenant(posthorn, 'sets');
    const accept = { unknown_event_types: 'accept', unknown_event_versions: 'accept', endpoint_verification: 'off' };
    expect(await api.ok('GET', '/settings')).toEqual(accept);
    expect(await api.ok('PATCH', '/settings', { unknown_event_types: 'refuse' })).toEqual({
      ...accept,
      unknown_event_types: 'refuse',
    });
    expect(await posthorn.api.ok('GET', '/settings')).toEqual(accept);
    expectBadField(
      await api.call('PATCH', '/settings', { unknown_event_types: 'warn' }),
      'unknown_event_types',
      /accept/,
    );
    expectBadField(await api.call('PATCH', '/settings', {}), 'body', /change something/);
  });
});
