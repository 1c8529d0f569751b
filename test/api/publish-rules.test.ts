import { createPublishRules } from '../../src/api/publish/rules-cache';
import { startApi } from '../../src/api/start-api';
import { readConfig } from '../../src/config';
import { openDatabase } from '../../src/db/database';
import { createLog } from '../../src/log';
import { publishOutbox } from '../db/support';
import { TestApi } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { until } from '../support/until';
import { expectBadField, expectProblem, otherTenant, sql } from './support';

let posthorn: Installation;
let api: TestApi;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  api = posthorn.api;
});
afterAll(() => posthorn?.stop());

const url = 'http://127.0.0.1:9/hook';
const SCHEMA = {
  type: 'object',
  properties: {
    total: { type: 'integer', minimum: 0 },
    customer: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
    currency: { type: 'string', enum: ['EUR', 'USD'] },
  },
  required: ['total', 'customer'],
  additionalProperties: false,
};
const GOOD = { total: 1, customer: { id: 'c' } };

async function typeWithSchema(name: string, schema: object = SCHEMA, on: TestApi = api): Promise<void> {
  await on.ok('POST', '/event-types', { name, key_fields: ['customer.id'] });
  await on.ok('POST', `/event-types/${name}/versions`, { version: '1.0', schema });
}
const publish = (type: string, data: unknown, more: object = {}, on: TestApi = api) =>
  on.call('POST', '/events', { type, data, ...more });

describe('data under a schema', () => {
  test('is published where it matches, and else refused by every path and rule; its values are not repeated', async () => {
    await typeWithSchema('schema.order');
    await api.createWebhook({ url }, { events: ['schema.*'] });
    expect(await publish('schema.order', GOOD)).toMatchObject({ status: 202, body: { deliveries: 1 } });
    const before = await sql(posthorn, 'select count(*) from events');
    const answer = await publish('schema.order', { total: -1.5, customer: {}, currency: 'secret', extra: 1 });
    expectProblem(answer, { status: 422, code: 'validation_failed' });
    expect(answer.body.errors).toEqual(
      expect.arrayContaining([
        { field: 'data.total', rule: 'must be integer' },
        { field: 'data.total', rule: 'must be >= 0' },
        { field: 'data.customer.id', rule: 'is required' },
        { field: 'data.currency', rule: 'must be one of "EUR","USD"' },
        { field: 'data.extra', rule: 'is not known here' },
      ]),
    );
    expect(answer.body.errors).toHaveLength(5);
    expect(JSON.stringify(answer.body)).not.toContain('secret');
    expect(await sql(posthorn, 'select count(*) from events')).toEqual(before);
  });

  test('counts from the 201 on, for this version of this tenant only', async () => {
    expect((await publish('schema.later', {})).status).toBe(202);
    await typeWithSchema('schema.later');
    expect((await publish('schema.later', {})).status).toBe(422);
    expect((await publish('schema.later', {}, { version: '2.0' })).status).toBe(202);
    await api.ok('POST', '/event-types/schema.later/versions', { version: '2.0', schema: SCHEMA });
    expect((await publish('schema.later', {}, { version: '2.0' })).status).toBe(422);
    const other = await otherTenant(posthorn);
    expect((await publish('schema.later', {}, {}, other)).status).toBe(202);
    await api.ok('DELETE', '/event-types/schema.later');
    expect((await publish('schema.later', {})).status).toBe(202);
  });

  test('names that every object inherits are not there', async () => {
    await typeWithSchema('schema.names', { type: 'object', required: ['toString', 'constructor'] });
    const answer = await publish('schema.names', {});
    expectBadField(answer, 'data.toString', /is required/);
    expectBadField(answer, 'data.constructor', /is required/);
    const named = '{"type":"schema.names","data":{"toString":1,"constructor":2,"__proto__":{"a":1}}}';
    expect((await api.call('POST', '/events', named)).status).toBe(202);
  });

  test('names at most 50 problems, and one where there may be very many', async () => {
    await typeWithSchema('schema.lists', {
      type: 'object',
      properties: { list: { type: 'array', items: { type: 'string' } } },
    });
    const numbers = (count: number) => ({ list: Array.from({ length: count }, () => 1) });
    expect((await publish('schema.lists', numbers(60))).body.errors).toHaveLength(50);
    expect((await publish('schema.lists', numbers(100_000))).body.errors).toEqual([
      { field: 'data.list.0', rule: 'must be string' },
    ]);
  });

  test('is refused unchecked where checking would take long', async () => {
    const parts = Array.from({ length: 100 }, (_, i) => ({ const: i }));
    await typeWithSchema('schema.wide', {
      type: 'object',
      properties: { list: { type: 'array', items: { anyOf: parts } } },
    });
    const list = Array.from({ length: 60_000 }, () => 99);
    expect((await publish('schema.wide', { list })).body.errors).toEqual([
      { field: 'data', rule: 'has too many values to be checked against its schema' },
    ]);
    expect((await publish('schema.wide', { list: list.slice(0, 5_000) })).status).toBe(202);
    await typeWithSchema('schema.texts', {
      type: 'object',
      properties: {
        text: { type: 'string', allOf: Array.from({ length: 100 }, (_, i) => ({ minLength: i, type: 'string' })) },
      },
    });
    expect((await publish('schema.texts', { text: 'x'.repeat(250_000) })).status).toBe(202);
  });

  test.each<[format: string, good: string[], bad: string[]]>([
    ['date', ['2024-02-29'], ['2023-02-29', '2024-2-9', '']],
    [
      'date-time',
      ['2024-02-29T12:00:00Z', '2024-02-29T12:00:00.123+02:00'],
      ['2024-02-29', '2024-02-30T12:00:00Z', '2024-02-29 12:00:00Z', '2024-02-29T12:00:00'],
    ],
    ['email', ['a@example.com'], ['a', '@b', 'a@b@c', 'a b@c', `${'a'.repeat(100_000)}`]],
    ['uri', ['https://example.com/?a=1', 'urn:a:b'], ['/a', 'example.com', '']],
    ['uuid', ['01234567-89ab-7def-8123-456789abcdef'], ['0123456789ab7def8123456789abcdef', '']],
  ])('format %s', async (format, good, bad) => {
    await typeWithSchema(`schema.format.${format}`, {
      type: 'object',
      properties: { x: { type: 'string', format } },
    });
    for (const x of good) expect((await publish(`schema.format.${format}`, { x })).status).toBe(202);
    for (const x of bad) {
      expectBadField(await publish(`schema.format.${format}`, { x }), 'data.x', /must match format/);
    }
  });
});

describe('types and versions that nobody described', () => {
  test('are refused where the tenant says so, and accepted again', async () => {
    const strict = await otherTenant(posthorn, 'strict');
    await typeWithSchema('known.type', SCHEMA, strict);
    const statuses = async () => [
      (await publish('known.type', GOOD, {}, strict)).status,
      (await publish('known.type', GOOD, { version: '2.0' }, strict)).status,
      (await publish('unknown.type', {}, {}, strict)).status,
    ];
    expect(await statuses()).toEqual([202, 202, 202]);
    await strict.ok('PATCH', '/settings', { unknown_event_versions: 'refuse' });
    expect(await statuses()).toEqual([202, 422, 202]);
    expectBadField(await publish('known.type', GOOD, { version: '2.0' }, strict), 'version', /registered version/);
    await strict.ok('PATCH', '/settings', { unknown_event_types: 'refuse', unknown_event_versions: 'accept' });
    expect(await statuses()).toEqual([202, 202, 422]);
    expectBadField(await publish('unknown.type', {}, {}, strict), 'type', /registered event type/);
    await strict.ok('PATCH', '/settings', { unknown_event_types: 'accept' });
    expect(await statuses()).toEqual([202, 202, 202]);
  });
});

describe('filters', () => {
  const hooksOf = async (eventId: string) => (await api.deliveriesOf(eventId)).map(({ webhook_id }) => webhook_id);
  const reached = async (type: string, data: unknown) => hooksOf((await publish(type, data)).body.id);

  test('let an event through or not, each for its own webhook', async () => {
    const large = await api.createWebhook({ url }, { events: ['filter.*'], filter: { 'data.total': { $gt: 100 } } });
    const euro = await api.createWebhook({ url }, { events: ['filter.*'], filter: { 'data.currency': 'EUR' } });
    const all = await api.createWebhook({ url }, { events: ['filter.*'] });
    const ids = (...hooks: { id: string }[]) => hooks.map(({ id }) => id).sort();
    expect((await reached('filter.a', { total: 101, currency: 'EUR' })).sort()).toEqual(ids(large, euro, all));
    expect((await reached('filter.a', { total: 100, currency: 'EUR' })).sort()).toEqual(ids(euro, all));
    expect((await reached('filter.a', { total: 101 })).sort()).toEqual(ids(large, all));
    expect((await publish('filter.a', {})).body.deliveries).toBe(1);
    expect(await api.ok('GET', `/webhooks/${large.id}`)).toMatchObject({ filter: { 'data.total': { $gt: 100 } } });
  });

  test('count from the 200 of a change on, also of its patterns', async () => {
    const hook = await api.createWebhook({ url }, { events: ['change.a'] });
    const path = `/webhooks/${hook.id}`;
    const reaches = async (type: string) => (await reached(type, {})).includes(hook.id);
    expect(await reaches('change.a')).toBe(true);
    await api.ok('PATCH', path, { filter: { 'data.x': 1 } });
    expect(await reaches('change.a')).toBe(false);
    await api.ok('PATCH', path, { events: ['change.b'] });
    expect(await reaches('change.b')).toBe(false);
    await api.ok('PATCH', path, { filter: null });
    expect(await reaches('change.b')).toBe(true);
  });

  test.each<[filter: unknown, field: string, rule: RegExp]>([
    [{}, 'filter', /ask for something/],
    [[], 'filter', /object/],
    ['type', 'filter', /object/],
    [{ $or: [{ total: 1 }] }, 'filter.$or.0.total', /path such as/],
    [{ 'data.total': { $regex: '(a+)+$' } }, 'filter.data.total.$regex', /not known here/],
  ])('%j is refused', async (filter, field, rule) => {
    expectBadField(await api.call('POST', '/webhooks', { url, events: ['*'], filter }), field, rule);
  });

  test('a replay of an event goes to those who would get it now', async () => {
    const { id } = (await publish('replayed.later', { total: 5 })).body;
    const passing = await api.createWebhook({ url }, { events: ['replayed.*'], filter: { 'data.total': 5 } });
    await api.createWebhook({ url }, { events: ['replayed.*'], filter: { 'data.total': 6 } });
    await api.createWebhook({ url }, { events: ['replayed.*'], payload_version: '2.0' });
    const pinned = await api.createWebhook({ url }, { events: ['replayed.*'], payload_version: '1.0' });
    const { data } = await api.ok('POST', `/events/${id}/replay`);
    const ids = data.map(({ webhook_id }: { webhook_id: string }) => webhook_id);
    expect(ids.sort()).toEqual([passing.id, pinned.id].sort());
  });

  test('are no more than 200 per tenant; one that is there may be changed', async () => {
    const crowd = await otherTenant(posthorn, 'crowd');
    const hook = await crowd.createWebhook({ url }, { filter: { type: 'a' } });
    await sql(
      posthorn,
      `insert into webhooks (id, tenant_id, url, host, patterns, retry_policy, timeout_ms, filter)
       select gen_random_uuid(), t.id, '', '', '{a}', '{}', 1000, '{"type":"a"}' from tenants t, generate_series(1, 199)
       where t.name = 'crowd'`,
    );
    expectBadField(
      await crowd.call('POST', '/webhooks', { url, events: ['*'], filter: { type: 'a' } }),
      'filter',
      /200 webhooks/,
    );
    await crowd.ok('PATCH', `/webhooks/${hook.id}`, { filter: { type: 'b' } });
  });
});

describe('a webhook with a payload version', () => {
  test('gets events of that version only', async () => {
    const hook = await api.createWebhook({ url }, { events: ['pinned'], payload_version: '2.0' });
    const deliveries = async (version?: string) =>
      (await publish('pinned', {}, version ? { version } : {})).body.deliveries;
    expect([await deliveries(), await deliveries('1.0'), await deliveries('2.0')]).toEqual([0, 0, 1]);
    expect(await api.ok('PATCH', `/webhooks/${hook.id}`, { payload_version: '1.0' })).toMatchObject({
      payload_version: '1.0',
    });
    expect([await deliveries(), await deliveries('2.0')]).toEqual([1, 0]);
    await api.ok('PATCH', `/webhooks/${hook.id}`, { payload_version: null });
    expect([await deliveries(), await deliveries('2.0')]).toEqual([1, 1]);
    expectBadField(
      await api.call('PATCH', `/webhooks/${hook.id}`, { payload_version: '' }),
      'payload_version',
      /letters/,
    );
  });
});

test('our own events reach whoever asks for them, whole, whatever the filter and version', async () => {
  const db = openDatabase({ url: posthorn.databaseUrl, poolSize: 2, applicationName: 'test', planner: 'default' });
  try {
    const wanted = { filter: { 'data.x': 1 }, payload_version: '9.9', payload: 'minimal' };
    const hook = await api.createWebhook({ url }, { events: ['posthorn.*'], ...wanted });
    await sql(
      posthorn,
      `insert into operational_outbox (tenant_id, type, webhook_id, details)
       select w.tenant_id, 'posthorn.webhook.failing', w.id, '{}' from webhooks w join tenants t on t.id = w.tenant_id
       where t.name = 'default' limit 1`,
    );
    await publishOutbox(db.pool);
    const { data } = await api.ok('GET', `/deliveries?webhook_id=${hook.id}`);
    expect(data.length).toBeGreaterThan(0);
    const minimal = `select distinct minimal from deliveries where event_type like 'posthorn.%'`;
    expect(await sql(posthorn, minimal)).toEqual([{ minimal: false }]);
    const late = await api.createWebhook({ url }, { events: ['posthorn.*'], ...wanted });
    const replayed = await api.ok('POST', `/events/${data[0].event_id}/replay`);
    expect(replayed.data).toContainEqual(expect.objectContaining({ webhook_id: late.id, result: 'created' }));
    expect(await sql(posthorn, minimal)).toEqual([{ minimal: false }]);
  } finally {
    await db.close();
  }
});

describe('another api process', () => {
  test('heeds a new filter, schema and setting within moments', async () => {
    const config = readConfig({ ...posthorn.env, DATABASE_URL: posthorn.databaseUrl });
    const second = await startApi(config, createLog('silent'));
    try {
      const elsewhere = new TestApi(second.url, api.key);
      const hook = await api.createWebhook({ url }, { events: ['elsewhere'] });
      expect((await publish('elsewhere', {}, {}, elsewhere)).body.deliveries).toBe(1);
      await api.ok('PATCH', `/webhooks/${hook.id}`, { filter: { 'data.x': 1 } });
      await typeWithSchema('elsewhere.schema');
      await until(
        'the filter to count',
        async () => (await publish('elsewhere', {}, {}, elsewhere)).body.deliveries === 0,
        5_000,
      );
      expect((await publish('elsewhere.schema', {}, {}, elsewhere)).status).toBe(422);
    } finally {
      await second.stop();
    }
  });
});

describe('the rules of a tenant', () => {
  test('are asked for once, and a load that was overtaken by a change is not kept', async () => {
    const db = openDatabase({ url: posthorn.databaseUrl, poolSize: 2, applicationName: 'test', planner: 'default' });
    try {
      const [tenant] = await sql<{ id: string }>(posthorn, `select id from tenants where name = 'default'`);
      const rules = createPublishRules(db);
      const early = rules.of(tenant!.id);
      expect(rules.of(tenant!.id)).toBe(early);
      rules.invalidate(tenant!.id);
      const late = rules.of(tenant!.id);
      expect(late).not.toBe(early);
      await Promise.all([early, late]);
      expect(rules.of(tenant!.id)).toBe(late);
    } finally {
      await db.close();
    }
  });

  test('that could not be loaded are asked for again', async () => {
    const db = openDatabase({ url: posthorn.databaseUrl, poolSize: 2, applicationName: 'test', planner: 'default' });
    const rules = createPublishRules(db);
    const [tenant] = await sql<{ id: string }>(posthorn, `select id from tenants where name = 'default'`);
    const nobody = '00000000-0000-7000-8000-000000000000';
    await expect(rules.of(nobody)).rejects.toThrow('vanished');
    await sql(posthorn, `insert into tenants (id, name) values ($1, 'came later')`, [nobody]);
    expect(await rules.of(nobody)).toMatchObject({ filtered: [] });
    expect(await (await rules.of(tenant!.id)).ofType('never.described', '1.0')).toBeUndefined();
    await db.close();
  });
});
