import { parsePublicId } from '../../src/domain/ids';
import { type Installation, startInstallation } from '../support/installation';
import { expectBadField, expectProblem, send, sql } from './support';

let posthorn: Installation;

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

type Result = { status: number; id?: string; deliveries?: number; duplicate?: boolean; error?: unknown };

async function publish(body: unknown): Promise<Result[]> {
  return (await posthorn.api.ok<{ data: Result[] }>('POST', '/events/batch', body)).data;
}

const countEvents = (type: string) => sql(posthorn, 'select from events where type like $1', [type]);

test('each event is answered in order, and a bad one fails alone', async () => {
  await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['alone.*'] });
  await posthorn.api.ok('POST', '/events', { type: 'alone.known', data: {}, id: 'known-1' });
  const data = await publish({
    events: [
      { type: 'alone.one', data: { n: 1 } },
      { type: 'Alone', data: {} },
      null,
      'text',
      { type: 'alone.two', data: [], extra: 1 },
      { type: 'alone.big', data: { text: 'x'.repeat(257 * 1024) } },
      { type: 'posthorn.own', data: {} },
      { type: 'alone.known', data: {}, id: 'known-1' },
      { type: 'unheard.of', data: {} },
    ],
  });
  expect(data.map(({ status }) => status)).toEqual([202, 422, 422, 422, 422, 422, 422, 200, 202]);
  expect(data[0]).toEqual({ status: 202, id: expect.stringMatching(/^evt_/), deliveries: 1 });
  expect(data[1]).toEqual({
    status: 422,
    error: { code: 'validation_failed', errors: [{ field: 'type', rule: expect.stringMatching(/lower-case/) }] },
  });
  expect(data[2]).toMatchObject({ error: { errors: [{ field: 'body' }] } });
  expect(data[4]).toMatchObject({ error: { errors: [{ field: 'data' }, { field: 'extra' }] } });
  expect(data[5]).toMatchObject({
    error: { errors: [{ field: 'data', rule: expect.stringMatching(/at most 262144 bytes/) }] },
  });
  expect(data[7]).toEqual({ status: 200, id: expect.stringMatching(/^evt_/), deliveries: 1, duplicate: true });
  expect(data[8]).toMatchObject({ deliveries: 0 });
  expect(await countEvents('alone.%')).toHaveLength(2);
});

test('a batch of nothing but bad events is still answered event by event', async () => {
  expect((await publish({ events: [{}, 1] })).map(({ status }) => status)).toEqual([422, 422]);
});

test.each<[unknown, string, RegExp]>([
  [{}, 'events', /./],
  [{ events: [] }, 'events', /./],
  [{ events: {} }, 'events', /./],
  [{ events: Array(1_001).fill({ type: 'too.many', data: {} }) }, 'events', /1000/],
  [{ events: [{ type: 'whole.one', data: {} }], more: 1 }, 'more', /not known/],
  [[], 'body', /./],
])('what is no batch is refused whole (%#)', async (body, field, rule) => {
  expectBadField(await posthorn.api.call('POST', '/events/batch', body), field, rule);
});

test('over 1 MiB, or broken JSON, is refused whole', async () => {
  const big = { events: [1, 2, 3, 4, 5].map((n) => ({ type: 'whole.big', data: { n, text: 'x'.repeat(220_000) } })) };
  expectProblem(await posthorn.api.call('POST', '/events/batch', big), { status: 413, code: 'body_too_large' });
  const body = '{"events":[{"type":"whole.one","data":{}}';
  const headers = { 'content-type': 'application/json' };
  expectProblem(await send(posthorn.api, 'POST', '/api/v1/events/batch', { body, headers }), {
    status: 400,
    code: 'malformed_json',
  });
  expect(await countEvents('whole.%')).toHaveLength(0);
});

test('the bytes of each event’s data are kept as they were written', async () => {
  const written = ['{ "id": 12345678901234567890, "p": 1.0 }', '{}', '{"a":"]}\\"",\n "data":[{},{"x":1E+2}]}'];
  const items = written.map((data, n) => ` {"data" :${data}, "type":"bytes.n${n}" }`);
  const data = await publish(`{ "events" : [${items.join(',\n')} ] }`);
  for (const [n, { id }] of data.entries()) {
    const { payload, type } = await posthorn.api.ok('GET', `/events/${id}`);
    expect(type).toBe(`bytes.n${n}`);
    expect(payload.endsWith(`,"version":"1.0","data":${written[n]}}`)).toBe(true);
    expect(JSON.parse(payload).id).toBe(id);
  }
});

test('patterns and priorities are each event’s own, and the queue keeps the order of the batch', async () => {
  const named = await posthorn.api.createWebhook(
    { url: 'http://127.0.0.1:9' },
    { events: ['priorities.a', 'priorities.a.*'] },
  );
  const all = await posthorn.api.createWebhook(
    { url: 'http://127.0.0.1:9' },
    { events: ['priorities.*', 'priorities.a'] },
  );
  const events = Array.from({ length: 100 }, (_, n) => ({
    type: n % 2 ? 'priorities.a' : 'priorities.b',
    data: { n },
    ...(n % 3 === 0 && { priority: n % 2 ? 'high' : 'low' }),
  }));
  const data = await publish({ events });
  expect(data.map(({ deliveries }) => deliveries)).toEqual(events.map(({ type }) => (type === 'priorities.a' ? 2 : 1)));
  const queued = ({ id }: { id: string }) =>
    sql(
      posthorn,
      `select (convert_from(e.body, 'UTF8')::json->'data'->>'n')::int as n, q.priority
       from delivery_queue q join events e on e.id = q.event_id where q.webhook_id = $1 order by q.seq`,
      [parsePublicId('webhook', id)],
    );
  const priority = (n: number) => (n % 3 ? 1 : n % 2 ? 0 : 2);
  const wanted = events.map((_, n) => ({ n, priority: priority(n) }));
  expect(await queued(all)).toEqual(wanted);
  expect(await queued(named)).toEqual(wanted.filter(({ n }) => n % 2));
});

test('of several events with one id the first counts', async () => {
  const event = (n: number) => ({ type: 'twice.one', data: { n }, id: 'twice-1' });
  const data = await publish({ events: [{ ...event(0), type: 'BAD' }, event(1), event(2), event(3)] });
  expect(data.map(({ status }) => status)).toEqual([422, 202, 200, 200]);
  expect(new Set(data.slice(1).map(({ id }) => id)).size).toBe(1);
  expect((await posthorn.api.ok('GET', `/events/${data[1]!.id}`)).payload).toContain('"data":{"n":1}');
});

test('many batches at once with the same ids in any order publish each once', async () => {
  const ids = Array.from({ length: 100 }, (_, n) => ({ type: 'rush.one', data: {}, id: `rush-${n}` }));
  const batches = Array.from({ length: 20 }, (_, n) => (n % 2 ? ids : [...ids].reverse()));
  const answers = (await Promise.all(batches.map((events) => publish({ events })))).flat();
  expect(answers).toHaveLength(2_000);
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(100);
  expect(answers.filter(({ duplicate }) => duplicate)).toHaveLength(1_900);
  expect(await countEvents('rush.one')).toHaveLength(100);
});

test('a thousand events in one request', async () => {
  const data = await publish({ events: Array.from({ length: 1_000 }, (_, n) => ({ type: 'many.one', data: { n } })) });
  expect(data.every(({ status }) => status === 202)).toBe(true);
  expect(new Set(data.map(({ id }) => id)).size).toBe(1_000);
  expect(await countEvents('many.one')).toHaveLength(1_000);
});

test('the answer comes again for the same Idempotency-Key', async () => {
  const body = { events: [{ type: 'again.one', data: {} }, {}] };
  const call = () => posthorn.api.call('POST', '/events/batch', body, { 'idempotency-key': 'batch-again' });
  const first = await call();
  const second = await call();
  expect(second).toMatchObject({ status: 202, body: first.body });
  expect(second.headers.get('idempotency-replayed')).toBe('true');
  expect(await countEvents('again.one')).toHaveLength(1);
});
