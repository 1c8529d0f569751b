import { createTimeSlices } from '../../src/api/http/time-slices';
import { createPublishRules } from '../../src/api/publish/rules-cache';
import { openDatabase } from '../../src/db/database';
import { parsePublicId } from '../../src/domain/ids';
import type { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, expectProblem, otherTenant, sql } from './support';

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const times = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n));
const batch = (api: TestApi, events: unknown[]) => api.call('POST', '/events/batch', { events });
const countEvents = async () => (await sql<{ n: string }>(posthorn, 'select count(*) as n from events'))[0]!.n;

/** 98 conditions, none of which holds of what is published here: each is asked of each event. */
const filter = (webhook: number) => ({
  $or: times(98, (n) => ({ [`data.f${n}.a`]: webhook * 1_000 + n })),
});
/** Webhooks with filters, all but the first without a request for each of them. */
async function withFilters(api: TestApi, count: number, make = filter): Promise<void> {
  const { id } = await api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['fil.*'], filter: make(0) });
  await sql(
    posthorn,
    `insert into webhooks select (jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid(), 'filter', f.filter))).*
     from webhooks w, unnest($2::jsonb[]) f (filter) where w.id = $1`,
    [parsePublicId('webhook', id), times(count - 1, (n) => JSON.stringify(make(n + 1)))],
  );
}

async function withSchema(api: TestApi, name: string, schema: object): Promise<void> {
  await api.ok('POST', '/event-types', { name });
  await api.ok('POST', `/event-types/${name}/versions`, { version: '1.0', schema });
}
const list = (items: object) => ({ type: 'object', properties: { l: { type: 'array', items } } });
const branches = (count: number) => list({ anyOf: times(count, (n) => ({ const: n })) });

/** Types of a tenant, each with a schema of some parts, without a request for each of them. */
async function withTypes(tenant: string, count: number, parts: number): Promise<void> {
  const schema = JSON.stringify({
    allOf: times(parts, (minimum) => ({ type: 'object', minProperties: 0, title: `${minimum}` })),
  });
  await sql(
    posthorn,
    `with n as (select t.id, 'typ.t' || g as name from tenants t, generate_series(0, $2::int - 1) g where t.name = $1),
     made as (insert into event_types (tenant_id, name, deprecated, key_fields) select id, name, false, '{}' from n)
     select 1`,
    [tenant, count],
  );
  await sql(
    posthorn,
    `insert into event_type_versions (id, tenant_id, name, version, schema)
     select gen_random_uuid(), e.tenant_id, e.name, '1.0', $2::json
     from event_types e join tenants t on t.id = e.tenant_id where t.name = $1 and e.name like 'typ.t%'`,
    [tenant, schema],
  );
}
const types = (count: number) => times(count, (n) => ({ type: `typ.t${n}`, data: { n } }));

describe('a request that costs too much', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await otherTenant(posthorn, 'costly');
    await withFilters(api, 200);
    await withSchema(api, 'sch.branches', branches(100));
    await withSchema(api, 'sch.one', list({ oneOf: times(100, (n) => ({ const: n })) }));
    await withSchema(api, 'sch.texts', list({ allOf: times(160, () => ({ type: 'string', minLength: 70 })) }));
    await withSchema(api, 'sch.uri', list({ type: 'string', allOf: times(50, () => ({ format: 'uri' })) }));
    await withTypes('costly', 1_000, 120);
  });

  const small = { f0: { a: -1 }, f1: { a: -2 } };
  const same = (type: string, l: unknown[], count = 1_000) => times(count, () => ({ type, data: { l } }));
  test.each<[what: string, events: () => unknown[]]>([
    ['filters', () => times(1_000, (n) => ({ type: 'fil.a', data: { ...small, n } }))],
    ['types of filters', () => times(1_000, (n) => ({ type: `fil.t${n}`, data: small }))],
    ['branches of a schema', () => same('sch.branches', Array(300).fill(99))],
    ['data that no branch takes', () => same('sch.branches', Array(300).fill(-1))],
    ['branches of which one must match', () => same('sch.one', Array(300).fill(99))],
    ['texts', () => same('sch.texts', Array(8).fill('x'.repeat(100)))],
    ['URLs', () => same('sch.uri', Array(8).fill(`https://example.com/${'x'.repeat(80)}`))],
    ['schemas of many types', () => types(1_000)],
    [
      'filters and schemas together',
      () => [...times(300, () => ({ type: 'fil.a', data: small })), ...same('sch.branches', Array(120).fill(99), 100)],
    ],
  ])('by %s is refused with the limit’s name, every time, and nothing of it is published', async (_what, events) => {
    const before = await countEvents();
    for (let n = 0; n < 2; n++) {
      const answer = await batch(api, events());
      expectProblem(answer, { status: 422, code: 'publish_too_costly' });
      expect(answer.body.errors).toEqual([
        { field: 'events', rule: expect.stringMatching(/at most 5000000 units of work/) },
      ]);
    }
    expect(await countEvents()).toBe(before);
  });

  test('is published where either part of it comes alone', async () => {
    const filters = times(300, () => ({ type: 'fil.a', data: small }));
    expect((await batch(api, filters)).status).toBe(202);
    expect((await batch(api, same('sch.branches', Array(120).fill(99), 100))).status).toBe(202);
  });

  test('is one by a single event, to the event: the same batch is answered the same, before and after the limit', async () => {
    const filters = (count: number) => times(count, () => ({ type: 'fil.a', data: small }));
    let good = 480;
    let bad = 500;
    while (bad - good > 1) {
      const middle = (good + bad) >> 1;
      if ((await batch(api, filters(middle))).status === 202) good = middle;
      else bad = middle;
    }
    const statuses = [];
    for (const count of [good, bad, good, bad]) statuses.push((await batch(api, filters(count))).status);
    expect(statuses).toEqual([202, 422, 202, 422]);
    const before = Number(await countEvents());
    await batch(api, filters(bad));
    expect(Number(await countEvents())).toBe(before);
  }, 240_000);

  test('is never a single event, whatever filters and schema it meets', async () => {
    const single = await otherTenant(posthorn, 'single');
    await withFilters(single, 200);
    await withSchema(single, 'fil.schema', branches(100));
    const answer = await single.call('POST', '/events', { type: 'fil.schema', data: { l: Array(4_500).fill(99) } });
    expect(answer.status).toBe(202);
  });
});

describe('beside a tenant whose requests cost all they may', () => {
  test.each<[what: string, prepare: (api: TestApi) => Promise<void>, events: () => unknown[]]>([
    [
      'by filters',
      (api) => withFilters(api, 200),
      () => times(200, () => ({ type: 'fil.a', data: { f0: { a: -1 } } })),
    ],
    [
      'by schemas',
      (api) => withSchema(api, 'sch.a', branches(100)),
      () => times(50, () => ({ type: 'sch.a', data: { l: Array(100).fill(99) } })),
    ],
    [
      'by one event after the other',
      (api) => withSchema(api, 'sch.a', branches(100)),
      () => [{ type: 'sch.a', data: { l: Array(4_500).fill(99) } }],
    ],
  ])(
    '%s, another one’s requests are all answered before the last of its own',
    async (what, prepare, events) => {
      const heavy = await otherTenant(posthorn, `heavy ${what}`);
      const healthy = await otherTenant(posthorn, `healthy ${what}`);
      await prepare(heavy);
      await healthy.publish('healthy.first');
      let underWay = 8;
      const all = times(underWay, () =>
        batch(heavy, events()).then(({ status }) => {
          underWay--;
          return status;
        }),
      );
      for (let n = 0; n < 5; n++) await healthy.publish('healthy.one', { n });
      expect(underWay).toBeGreaterThan(0);
      expect(new Set(await Promise.all(all))).toEqual(new Set([202]));
    },
    180_000,
  );
});

describe('what a publish has to know', () => {
  test('of hundreds of types is read in one statement, and their schemas in one more', async () => {
    await otherTenant(posthorn, 'many types');
    await withTypes('many types', 500, 3);
    await counting(async ({ rules, statements, tenantId }) => {
      const ofTenant = await rules.of(await tenantId('many types'));
      const before = statements();
      const asked = [...types(500), ...types(100)].map(({ type }) => ({ type, version: '1.0' }));
      const undescribed = times(400, (n) => ({ type: `not.described${n}`, version: '1.0' }));
      const found = await ofTenant.ofTypes([...asked, ...undescribed]);
      expect(found.filter((one) => one?.validator)).toHaveLength(600);
      expect(found.filter((one) => one === undefined)).toHaveLength(400);
      expect(statements() - before).toBe(2);
      await ofTenant.ofTypes(asked);
      expect(statements() - before).toBe(2);
    });
  });

  test('is made ready once, until something of it changes; a tenant with very many schemas pushes out nobody else’s', async () => {
    const steady = await otherTenant(posthorn, 'steady');
    await withFilters(steady, 3);
    await withSchema(steady, 'sch.a', branches(10));
    await otherTenant(posthorn, 'thrashing');
    await withTypes('thrashing', 400, 120);
    await counting(async ({ rules, tenantId }) => {
      const [id, other] = [await tenantId('steady'), await tenantId('thrashing')];
      const look = async () => {
        rules.invalidate(id);
        const { filters, ofType } = await rules.of(id);
        return { filters, validator: (await ofType('sch.a', '1.0'))!.validator };
      };
      const first = await look();
      expect(first.validator).toBeDefined();
      for (let n = 0; n < 3; n++) {
        rules.invalidate(other);
        await (await rules.of(other)).ofTypes(types(400).map(({ type }) => ({ type, version: '1.0' })));
      }
      const second = await look();
      expect(second.validator).toBe(first.validator);
      expect(second.filters).toBe(first.filters);
      await withFilters(steady, 1, () => filter(99));
      const third = await look();
      expect(third.filters).not.toBe(first.filters);
      expect(third.validator).toBe(first.validator);
    });
  });

  type Counting = {
    rules: ReturnType<typeof createPublishRules>;
    statements: () => number;
    tenantId: (name: string) => Promise<string>;
  };
  async function counting(use: (counting: Counting) => Promise<void>): Promise<void> {
    const db = openDatabase({ url: posthorn.databaseUrl, poolSize: 2, applicationName: 'test', planner: 'default' });
    let count = 0;
    const query = db.pool.query.bind(db.pool) as (...args: unknown[]) => unknown;
    const counted = (...args: unknown[]) => {
      count++;
      return query(...args);
    };
    Object.assign(db.pool, { query: counted });
    const tenantId = async (name: string) =>
      (await sql<{ id: string }>(posthorn, 'select id from tenants where name = $1', [name]))[0]!.id;
    try {
      await use({ rules: createPublishRules(db, createTimeSlices()), statements: () => count, tenantId });
    } finally {
      await db.close();
    }
  }
});

describe('the answer of a batch stays small', () => {
  test.each<[what: string, schema: object, data: () => unknown, count: number]>([
    ['many problems in each event', branches(40), () => ({ l: Array(20).fill(-1) }), 200],
    [
      'names as long as the data',
      { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
      () => ({ ['n'.repeat(100_000)]: Array(50).fill(1) }),
      9,
    ],
  ])('with %s', async (what, schema, data, count) => {
    const api = await otherTenant(posthorn, `small ${what}`);
    await withSchema(api, 'bad.a', schema);
    const { status, body } = await batch(
      api,
      times(count, () => ({ type: 'bad.a', data: data() })),
    );
    expect(status).toBe(202);
    expect(body.data.map((one: { status: number }) => one.status)).toEqual(Array(count).fill(422));
    expect(body.data.every(({ error }: { error: { errors: unknown[] } }) => error.errors.length > 0)).toBe(true);
    const problems = body.data.flatMap(({ error }: { error: { errors: unknown[] } }) => error.errors);
    expect(problems.length).toBeLessThanOrEqual(1_000 + count);
    expect(JSON.stringify(body).length).toBeLessThan(1_000_000);
  });
});

describe('filters and schemas of one tenant have a limit in bytes', () => {
  const long = (n: number) => ({ 'data.a': { $in: [...times(15, (i) => `${n} ${i} `.padEnd(1_000, 'x'))] } });

  test('a filter of 16 KiB, when it is registered and when it is changed', async () => {
    const tooLong = { 'data.a': { $in: times(17, () => 'x'.repeat(1_000)) } };
    const { id } = await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' });
    const created = { url: 'http://127.0.0.1:9/hook', events: ['*'], filter: tooLong };
    expectBadField(await posthorn.api.call('POST', '/webhooks', created), 'filter', /at most 16384 bytes/);
    expectBadField(await posthorn.api.call('PATCH', `/webhooks/${id}`, { filter: tooLong }), 'filter', /16384 bytes/);
  });

  test('512 KiB of filters in all, also where they come at once; a changed one does not count twice', async () => {
    const api = await otherTenant(posthorn, 'long filters');
    const create = (n: number) =>
      api.call('POST', '/webhooks', { url: 'http://127.0.0.1:9/hook', events: ['*'], filter: long(n) });
    const answers = await Promise.all(times(45, create));
    const refused = answers.filter(({ status }) => status !== 201);
    expect(answers.length - refused.length).toBe(Math.floor((512 * 1024) / JSON.stringify(long(10)).length));
    for (const answer of refused) expectBadField(answer, 'filter', /524288 bytes/);
    const [first] = answers.filter(({ status }) => status === 201);
    expect((await api.call('PATCH', `/webhooks/${first!.body.id}`, { filter: long(99) })).status).toBe(200);
    const bare = await api.createWebhook({ url: 'http://127.0.0.1:9' });
    expectBadField(await api.call('PATCH', `/webhooks/${bare.id}`, { filter: long(98) }), 'filter', /524288 bytes/);
  });

  test('4 MiB of schemas and examples in all', async () => {
    const api = await otherTenant(posthorn, 'long schemas');
    for (const name of ['long.a', 'long.b', 'long.c', 'long.d']) await api.ok('POST', '/event-types', { name });
    const schema = { title: 'x'.repeat(65_000) };
    const add = (n: number, body: object = { schema }) =>
      api.call('POST', `/event-types/long.${'abcd'[n % 4]}/versions`, { version: `${n}`, ...body });
    for (let n = 0; n < 64; n++) expect((await add(n)).status).toBe(201);
    expectBadField(await add(64), 'schema', /4194304 bytes/);
    expect((await add(65, { example: { a: 1 } })).status).toBe(201);
  });
});

describe('the page of an event type stays small', () => {
  async function page(api: TestApi, name: string): Promise<string> {
    const headers = { authorization: `Bearer ${api.key}` };
    const response = await fetch(`${api.url}/api/v1/event-types/${name}/docs`, { headers });
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(html).toContain(name);
    return html;
  }

  test('however often one description is referred to', async () => {
    const schema = {
      type: 'object',
      $defs: { d: { description: 'x'.repeat(50_000), enum: times(20, (n) => 'v'.repeat(100) + n) } },
      properties: Object.fromEntries(times(9, (n) => [`f${n}`, { $ref: '#/$defs/d' }])),
    };
    await withSchema(posthorn.api, 'page.described', schema);
    expect((await page(posthorn.api, 'page.described')).length).toBeLessThan(50_000);
  });

  test('however deep an example is: a new one is refused, an old one is not indented', async () => {
    await withSchema(posthorn.api, 'page.deep', {});
    const deep = `{"a":${'['.repeat(4_000)}${']'.repeat(4_000)}}`;
    const body = `{"version":"2","example":${deep}}`;
    expectBadField(await posthorn.api.call('POST', '/event-types/page.deep/versions', body), 'example', /too deep/);
    await sql(posthorn, `update event_type_versions set example = $1::json where name = 'page.deep'`, [deep]);
    expect((await page(posthorn.api, 'page.deep')).length).toBeLessThan(50_000);
  });
});
