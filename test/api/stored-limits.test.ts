import { installationForFile } from '../support/for-tests';
import { expectBadField, sql } from './support';

/** Limits are counted on what is stored; answers that are repeated, and counts, are those of the first and of the list. */

const posthorn = installationForFile({}, { worker: false });
const api = () => posthorn.api;
const URL = 'http://127.0.0.1:9/hook';
const names = (count: number) => Array.from({ length: count }, (_, n) => `limit.n${n}`);

test('what a list names twice counts once', async () => {
  const hundred = names(100);
  const twice = [...hundred, ...hundred];
  const webhook = await api().ok('POST', '/webhooks', { url: URL, events: twice, active: false });
  expect(webhook.events).toEqual(hundred);
  expect((await api().ok('PATCH', `/webhooks/${webhook.id}`, { events: [...twice].reverse() })).events).toHaveLength(
    100,
  );
  expectBadField(await api().call('POST', '/webhooks', { url: URL, events: names(101) }), 'events', /100/);

  const fields = Array.from({ length: 20 }, (_, n) => `f${n}`);
  const type = await api().ok('POST', '/event-types', { name: 'limit.type', key_fields: [...fields, ...fields] });
  expect(type.key_fields).toEqual(fields);
  expectBadField(
    await api().call('PATCH', '/event-types/limit.type', { key_fields: [...fields, 'f20'] }),
    'key_fields',
    /20/,
  );

  const since = '2026-01-01T00:00:00Z';
  const replay = await api().ok('POST', `/webhooks/${webhook.id}/replay`, {
    since,
    event_types: twice,
    statuses: ['failed', 'failed', 'cancelled', 'failed'],
  });
  expect(replay).toMatchObject({ event_types: hundred, statuses: ['failed', 'cancelled'] });
  const answer = await api().call('POST', `/webhooks/${webhook.id}/replay`, { since, event_types: names(101) });
  expectBadField(answer, 'event_types', /100/);

  const id = 'del_01m84me0xme4gbxcg2xavanzsf';
  expect(await api().ok('POST', '/dead-letters/discard', { delivery_ids: Array(1_500).fill(id) })).toMatchObject({
    discarded: 0,
  });
});

test('a text is as long as its characters', async () => {
  const long = '😀'.repeat(500);
  const { id } = await api().ok('POST', '/webhooks', {
    url: URL,
    events: ['never.sent'],
    active: false,
    description: long,
  });
  expect((await api().ok('GET', `/webhooks/${id}`)).description).toBe(long);
  for (const description of [`${long}x`, 'x'.repeat(501), '😀'.repeat(501)]) {
    expectBadField(
      await api().call('PATCH', `/webhooks/${id}`, { description }),
      'description',
      /at most 500 characters/,
    );
  }
  const metadata = { ['é'.repeat(64)]: 'v', ['😀'.repeat(64)]: long };
  expect((await api().ok('PATCH', `/webhooks/${id}`, { metadata })).metadata).toEqual(metadata);
  expect(await api().call('PATCH', `/webhooks/${id}`, { metadata: { ['😀'.repeat(65)]: 'v' } })).toMatchObject({
    status: 422,
  });
});

test('an example is counted as it is stored, without its white space, and keeps its digits', async () => {
  await api().ok('POST', '/event-types', { name: 'limit.example' });
  const path = '/event-types/limit.example/versions';
  const inner = '"total":19.990,"big":12345678901234567890,"tiny":1.0E-7,"minus":-0';
  const spaced = `{"version":"1.0","example":{ ${' '.repeat(20_000)} ${inner.replaceAll(',', ' ,\n ')} }}`;
  expect(await api().call('POST', path, spaced)).toMatchObject({ status: 201 });
  const shown = await fetch(`${api().url}/api/v1/event-types/limit.example`, {
    headers: { authorization: `Bearer ${api().key}` },
  });
  expect(await shown.text()).toContain(`"example":{${inner}}`);
  const page = await fetch(`${api().url}/api/v1/event-types/limit.example/docs`, {
    headers: { authorization: `Bearer ${api().key}` },
  });
  expect(await page.text()).toMatch(/19\.990.*12345678901234567890.*1\.0E-7.*-0/s);
  const longer = `{"version":"2.0","example":{"a":"${'x'.repeat(16 * 1024 - 7)}"}}`;
  expectBadField(await api().call('POST', path, longer), 'example', /at most 16384 characters/);
  expect(await api().call('POST', path, longer.replace('xx', 'x'))).toMatchObject({ status: 201 });
});

test('the schema’s numbers are those that were written, for data and for examples', async () => {
  await api().ok('POST', '/event-types', { name: 'limit.schema' });
  const path = '/event-types/limit.schema/versions';
  const schema =
    '{"type":"object","properties":{"n":{"type":"number","maximum":9007199254740992},"price":{"type":"number","multipleOf":0.01}}}';
  const refused = await api().call(
    'POST',
    path,
    `{"version":"1.0","schema":${schema},"example":{"n":9007199254740993}}`,
  );
  expectBadField(refused, 'example.n', /must be <= 9007199254740992/);
  const good = `{"version":"1.0","schema":${schema},"example":{"n":9007199254740992,"price":143.48}}`;
  expect(await api().call('POST', path, good)).toMatchObject({ status: 201 });
  const publish = (data: string) =>
    api().call('POST', '/events', `{"type":"limit.schema","version":"1.0","data":${data}}`);
  for (const data of [
    '{"price":19.99}',
    '{"price":143.48}',
    '{"price":0.07}',
    '{"price":1e22}',
    '{"n":9007199254740992.0}',
  ]) {
    expect([data, (await publish(data)).status]).toEqual([data, 202]);
  }
  for (const data of ['{"price":19.999}', '{"n":9007199254740993}', '{"n":1e400}', '{"n":9007199254740992.5}']) {
    expect([data, (await publish(data)).status]).toEqual([data, 422]);
  }
});

const headersOf = (answer: { headers: Headers }) => {
  const { date: _, 'x-request-id': __, 'idempotency-replayed': ___, ...rest } = Object.fromEntries(answer.headers);
  return Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith('ratelimit')));
};

test.each<[what: string, path: () => string, body: () => object, status: number]>([
  ['a webhook', () => '/webhooks', () => ({ url: URL, events: ['never.sent'], active: false }), 201],
  ['an event', () => '/events', () => ({ type: 'limit.event', data: {} }), 202],
  ['an event with an id', () => '/events', () => ({ type: 'limit.event', data: {}, id: 'own' }), 202],
  ['a batch', () => '/events/batch', () => ({ events: [{ type: 'limit.event', data: {} }] }), 202],
  ['a conflict', () => '/event-types', () => ({ name: 'limit.type' }), 409],
])('the answer to %s is repeated with its headers', async (_, path, body, status) => {
  const send = (key: string) => api().call('POST', path(), body(), { 'idempotency-key': key });
  const key = `headers ${Math.random()}`;
  const first = await send(key);
  expect(first.status).toBe(status);
  const again = await send(key);
  expect([again.status, again.body]).toEqual([first.status, first.body]);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(headersOf(again)).toEqual(headersOf(first));
});

test('an attempt that is recorded while a delivery is read is neither counted nor listed', async () => {
  await api().ok('POST', '/webhooks', { url: URL, events: ['limit.read'], active: false });
  const { id } = await api().ok('POST', '/events', { type: 'limit.read', data: {} });
  const delivery = await api().onlyDelivery(id);
  const record = `with one as (
      update delivery_queue set attempt = attempt + 1 returning delivery_id, tenant_id, webhook_id, attempt)
    insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome, request_headers)
    select delivery_id, attempt, gen_random_uuid(), tenant_id, webhook_id, 'schedule', now(), 1, 'retry', '{}' from one`;
  await sql(posthorn, 'delete from delivery_queue where event_type <> $1', ['limit.read']);
  await sql(posthorn, record);
  // The event is read between the delivery and its attempts.
  const holding = sql(posthorn, `begin; lock events; select pg_sleep(1); ${record}; commit`);
  const reading = (async () => {
    for (;;) {
      const rows = await sql(
        posthorn,
        `select 1 from pg_locks where relation = 'events'::regclass and mode = 'AccessExclusiveLock' and granted`,
      );
      if (rows.length > 0) return api().delivery(delivery);
    }
  })();
  await holding;
  const read = await reading;
  expect(read.attempts.map(({ number }) => number)).toEqual([1]);
  expect(read.attempt_count).toBe(1);
  const later = await api().delivery(delivery);
  expect([later.attempt_count, later.attempts.length]).toEqual([2, 2]);
});
