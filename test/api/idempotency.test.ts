import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { until } from '../support/until';
import { expectBadField, expectProblem, otherTenant, sql } from './support';

const REPEATS = 50;

let posthorn: Installation;

beforeAll(async () => {
  posthorn = await startInstallation({ POSTHORN_RECONCILE_EVERY: '200ms' });
});
afterAll(() => posthorn?.stop());

let lastKey = 0;
const newKey = () => `key ${++lastKey}/"=`;

const post = (path: string, body: unknown, key: string): Promise<Answer> =>
  posthorn.api.call('POST', path, body, { 'idempotency-key': key });

/** As a careful client does: one that meets the first request under way comes back. */
async function postUntilAnswered(path: string, body: unknown, key: string): Promise<Answer> {
  for (;;) {
    const answer = await post(path, body, key);
    if (answer.body.code !== 'idempotency_in_progress') return answer;
    expect(answer.headers.get('retry-after')).toBe('1');
    await sleep(20);
  }
}

const replayed = ({ headers }: Answer) => headers.get('idempotency-replayed') === 'true';
const webhook = (description: string) => ({
  url: 'http://127.0.0.1:9/',
  events: ['never.*'],
  active: false,
  description,
});
/** As if this much time had gone by. */
const age = (key: string, by: string) =>
  sql(posthorn, `update idempotent_requests set created_at = created_at - $2::interval where key = $1`, [key, by]);
/** As if the process had died between the effect and the answer, the given time ago. */
const forgetAnswer = (key: string, leaseUntil: string) =>
  sql(
    posthorn,
    `update idempotent_requests set state = 'running', status = null, answer = null,
       lease_until = now() + $2::interval where key = $1`,
    [key, leaseUntil],
  );

test.each([
  ['POST /events', { type: 'once.event', data: { n: 1 } }],
  ['POST /events with an id', { type: 'once.id', data: { n: 1 }, id: 'own-1' }],
])('%s: of many repetitions at once exactly one publishes, and all get its answer', async (_name, event) => {
  const key = newKey();
  const answers = await Promise.all(Array.from({ length: REPEATS }, () => postUntilAnswered('/events', event, key)));
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
  expect(answers[0]).toMatchObject({ status: 202, body: { type: event.type, deliveries: 0 } });
  expect(answers.filter(replayed)).toHaveLength(REPEATS - 1);
  const list = await posthorn.api.ok('GET', `/events?type=${event.type}`);
  expect(list.data.map(({ id }: { id: string }) => id)).toEqual([answers[0]!.body.id]);
});

test('POST /webhooks: of many repetitions at once exactly one registers, and all get its answer and secret', async () => {
  const key = newKey();
  const answers = await Promise.all(
    Array.from({ length: REPEATS }, () => postUntilAnswered('/webhooks', webhook('many'), key)),
  );
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
  expect(answers[0]).toMatchObject({ status: 201, body: { secret: expect.stringMatching(/^whsec_/) } });
  expect(answers.filter(replayed)).toHaveLength(REPEATS - 1);
  expect(await sql(posthorn, `select from webhooks where description = 'many'`)).toHaveLength(1);
  const [row] = await sql<{ answer: string }>(posthorn, 'select answer from idempotent_requests where key = $1', [key]);
  expect(row!.answer).not.toContain(answers[0]!.body.secret);
  expect(Buffer.from(row!.answer.split('.')[1]!, 'base64url').toString('latin1')).not.toContain('whsec_');
});

test('an event’s answer counts the deliveries that its publish made', async () => {
  const { id } = await posthorn.api.ok('POST', '/webhooks', { ...webhook('counted'), events: ['counted.*'] });
  const key = newKey();
  const event = { type: 'counted.one', data: {} };
  const first = await post('/events', event, key);
  expect(first.body).toMatchObject({ deliveries: 1 });
  expect(await posthorn.api.onlyDelivery(first.body.id)).toMatch(/^del_/);
  await posthorn.api.ok('DELETE', `/webhooks/${id}`);
  expect((await post('/events', event, key)).body).toEqual(first.body);
});

test('a key stands for one path and one body', async () => {
  const key = newKey();
  const event = { type: 'mismatch.one', data: {} };
  expect((await post('/events', event, key)).status).toBe(202);
  const others: [string, unknown][] = [
    ['/events', { ...event, data: { changed: true } }],
    ['/events', `${JSON.stringify(event)} `],
    ['/events', { ...event, id: 'own-mismatch' }],
    ['/events/batch', { events: [event] }],
    ['/webhooks', webhook('mismatch')],
  ];
  for (const [path, body] of others) {
    expectProblem(await post(path, body, key), { status: 422, code: 'idempotency_mismatch' });
  }
  expect(await sql(posthorn, `select from webhooks where description = 'mismatch'`)).toHaveLength(0);
  expect(await sql(posthorn, `select from events where type = 'mismatch.one'`)).toHaveLength(1);

  const other = newKey();
  expect((await post('/webhooks', webhook('route'), other)).status).toBe(201);
  expectProblem(await post('/webhooks/subscribe', webhook('route'), other), {
    status: 422,
    code: 'idempotency_mismatch',
  });
});

test.each([[''], ['x'.repeat(256)], ['caf\u00e9'], ['tab\there']])('the key %j is refused', async (key) => {
  expectBadField(await post('/events', { type: 'bad.key', data: {} }, key), 'Idempotency-Key', /1 to 255/);
  expect(await sql(posthorn, `select from events where type = 'bad.key'`)).toHaveLength(0);
});

test('a key of 255 characters is good', async () => {
  expect((await post('/events', { type: 'long.key', data: {} }, 'k'.repeat(255))).status).toBe(202);
});

test('other methods take no notice of it', async () => {
  const { id } = await posthorn.api.ok('POST', '/webhooks', webhook('patched'));
  const key = newKey();
  for (const description of ['first', 'second']) {
    const headers = { 'idempotency-key': key };
    const answer = await posthorn.api.call('PATCH', `/webhooks/${id}`, { description }, headers);
    expect(answer).toMatchObject({ status: 200, body: { description } });
  }
});

test('after 24 hours a key is free for anything', async () => {
  const key = newKey();
  const first = await post('/events', { type: 'expiry.one', data: {} }, key);
  await age(key, '23 hours 59 minutes');
  expect((await post('/events', { type: 'expiry.one', data: {} }, key)).body).toEqual(first.body);
  await age(key, '1 minute');
  const second = await post('/events', { type: 'expiry.two', data: {} }, key);
  expect(second).toMatchObject({ status: 202, body: { type: 'expiry.two' } });
  await age(key, '24 hours');
  const third = await post('/webhooks', webhook('expiry'), key);
  expect(third.status).toBe(201);
  expect((await post('/webhooks', webhook('expiry'), key)).body).toEqual(third.body);
});

test('a batch publishes again under a key that has expired', async () => {
  const key = newKey();
  const batch = { events: [{ type: 'expiry.batch', data: {} }] };
  const first = await post('/events/batch', batch, key);
  await age(key, '24 hours');
  const second = await post('/events/batch', batch, key);
  expect(second.body.data[0]).toMatchObject({ status: 202 });
  expect(second.body.data[0].id).not.toBe(first.body.data[0].id);
});

describe('a request that was cut short', () => {
  test('keeps its key for its lease, and can then be repeated, but not changed', async () => {
    const key = newKey();
    await post('/webhooks', webhook('crash'), key);
    await forgetAnswer(key, '60 seconds');
    const running = await post('/webhooks', webhook('crash'), key);
    expectProblem(running, { status: 409, code: 'idempotency_in_progress' });
    expect(running.headers.get('retry-after')).toBe('1');

    await forgetAnswer(key, '0 seconds');
    expectProblem(await post('/webhooks', webhook('changed'), key), { status: 422, code: 'idempotency_mismatch' });
    const again = await post('/webhooks', webhook('crash'), key);
    expect(again.status).toBe(201);
    expect(replayed(again)).toBe(false);
    expect((await post('/webhooks', webhook('crash'), key)).body).toEqual(again.body);
  });

  test('is taken up by one of many', async () => {
    const key = newKey();
    await post('/webhooks', webhook('taken up'), key);
    await forgetAnswer(key, '-1 seconds');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => postUntilAnswered('/webhooks', webhook('taken up'), key)),
    );
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(await sql(posthorn, `select from webhooks where description = 'taken up'`)).toHaveLength(2);
  });

  test('publishes no event of a batch twice', async () => {
    const key = newKey();
    const batch = { events: [{ type: 'crash.batch', data: { n: 1 } }, { type: 'crash.batch', data: { n: 2 } }, {}] };
    const first = await post('/events/batch', batch, key);
    expect(first.body.data.map(({ status }: { status: number }) => status)).toEqual([202, 202, 422]);
    await forgetAnswer(key, '0 seconds');
    const again = await post('/events/batch', batch, key);
    expect(replayed(again)).toBe(false);
    expect(again.body).toEqual(first.body);
    expect(await sql(posthorn, `select from events where type = 'crash.batch'`)).toHaveLength(2);
  });

  test('publishes no event with an id of its own twice', async () => {
    const key = newKey();
    const event = { type: 'crash.id', data: {}, id: 'crash-1' };
    const first = await post('/events', event, key);
    await forgetAnswer(key, '0 seconds');
    const again = await post('/events', event, key);
    expect(again.body).toMatchObject({ id: first.body.id, duplicate: true });
    expect(await sql(posthorn, `select from events where type = 'crash.id'`)).toHaveLength(1);
  });
});

test('a refusal that the handler came to is kept', async () => {
  const { id } = await posthorn.api.ok('POST', '/webhooks', webhook('refusal'));
  const key = newKey();
  const first = await post(`/webhooks/${id}/enable`, {}, key);
  expectProblem(first, { status: 409, code: 'state_conflict' });
  await posthorn.api.ok('POST', `/webhooks/${id}/disable`);
  const again = await post(`/webhooks/${id}/enable`, {}, key);
  expect(again).toMatchObject({ status: 409, body: first.body });
  expect(again.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(replayed(again)).toBe(true);
  expect((await post(`/webhooks/${id}/enable`, {}, newKey())).status).toBe(200);
});

test('a body that breaks a rule does not use up the key', async () => {
  const key = newKey();
  expectBadField(await post('/events', { type: 'Fixed', data: {} }, key), 'type', /lower-case/);
  expect((await post('/events', { type: 'fixed', data: {} }, key)).status).toBe(202);
});

test('a fault of ours is not kept', async () => {
  const key = newKey();
  await sql(posthorn, 'alter table audit_log rename to audit_log_away');
  try {
    expectProblem(await post('/webhooks', webhook('fault'), key), { status: 500, code: 'internal_error' });
  } finally {
    await sql(posthorn, 'alter table audit_log_away rename to audit_log');
  }
  expectProblem(await post('/webhooks', webhook('other'), key), { status: 422, code: 'idempotency_mismatch' });
  const again = await post('/webhooks', webhook('fault'), key);
  expect(again.status).toBe(201);
  expect(replayed(again)).toBe(false);
  expect(await sql(posthorn, `select from webhooks where description = 'fault'`)).toHaveLength(1);
});

test('another tenant has its own keys', async () => {
  const other = await otherTenant(posthorn);
  const key = newKey();
  const event = { type: 'tenant.one', data: {} };
  const mine = await post('/events', event, key);
  const theirs = await other.call('POST', '/events', event, { 'idempotency-key': key });
  expect(theirs.status).toBe(202);
  expect(replayed(theirs)).toBe(false);
  expect(theirs.body.id).not.toBe(mine.body.id);
  const changed = { type: 'tenant.two', data: {} };
  const second = await other.call('POST', '/events', changed, { 'idempotency-key': newKey() });
  expect(second.status).toBe(202);
});

test('the worker forgets keys after 24 hours and producers’ ids after 7 days', async () => {
  const [old, young] = [newKey(), newKey()];
  for (const key of [old, young]) {
    await post('/events/batch', { events: [{ type: 'forget.request', data: { key } }] }, key);
    await posthorn.api.ok('POST', '/events', { type: 'forget.id', data: {}, id: key });
  }
  const kinds = async (key: string) => {
    const [row] = await sql<{ requests: number; parts: number; ids: number }>(
      posthorn,
      `select (select count(*) from idempotent_requests where key = $1)::int as requests,
         (select count(*) from idempotency_keys k join events e on e.id = k.event_id where k.kind = 'request'
            and convert_from(e.body, 'UTF8')::json->'data'->>'key' = $1)::int as parts,
         (select count(*) from idempotency_keys where kind = 'event' and key = $1)::int as ids`,
      [key],
    );
    return row!;
  };
  expect(await kinds(old)).toEqual({ requests: 1, parts: 1, ids: 1 });
  const part = `kind = 'request' and event_id in (
    select id from events where convert_from(body, 'UTF8')::json->'data'->>'key' = $1)`;
  const back = (where: string, by: string, key: string) =>
    sql(posthorn, `update idempotency_keys set created_at = now() - $2::interval where ${where}`, [key, by]);
  await back(part, '23 hours 55 minutes', young);
  await back(`kind = 'event' and key = $1`, '6 days 23 hours 55 minutes', young);
  await age(young, '23 hours 55 minutes');
  await back(part, '24 hours 1 second', old);
  await back(`kind = 'event' and key = $1`, '7 days 1 second', old);
  await age(old, '24 hours 1 second');
  await until('the old ones to be gone', async () => {
    const { requests, parts, ids } = await kinds(old);
    return requests + parts + ids === 0;
  });
  expect(await kinds(young)).toEqual({ requests: 1, parts: 1, ids: 1 });
});
