import { MAX_ERRORS } from '../../src/api/errors';
import type { Answer } from '../support/api';
import { installationForFile } from '../support/for-tests';

/** However much is wrong with a request, the answer stays small, and says how much it left out. */

const posthorn = installationForFile({}, { worker: false });

const MAX_BYTES = 64 * 1024;
const many = <T>(count: number, item: (n: number) => T) => Array.from({ length: count }, (_, n) => item(n));
const record = (count: number, name: (n: number) => string, value: unknown) =>
  Object.fromEntries(many(count, (n) => [name(n), value]));
const hook = (change: object) => ({ url: 'http://127.0.0.1:9/', events: ['a'], ...change });
const SINCE = '2026-01-01T00:00:00Z';
const LONG = 'x'.repeat(100_000);

type Case = [what: string, path: string, body: unknown, omitted: number];
const CASES: Case[] = [
  ['unknown fields', '/events', { type: 'a', data: {}, ...record(10_000, (n) => `u${n}`, 1) }, 10_000 - MAX_ERRORS],
  ['unknown fields with long names', '/events', { type: 'a', data: {}, ...record(9, (n) => LONG + n, 1) }, 0],
  ['unknown fields of a webhook', '/webhooks', hook(record(50_000, (n) => `u${n}`, 1)), 50_000 - MAX_ERRORS],
  ['values of metadata', '/webhooks', hook({ metadata: record(20_000, (n) => `m${n}`, 1) }), 0],
  ['names of metadata', '/webhooks', hook({ metadata: record(50, (n) => 'n'.repeat(1_000) + n, 'x') }), 0],
  ['own headers', '/webhooks', hook({ headers: record(20_000, (n) => `h ${n}`, 'x') }), 0],
  ['names of own headers', '/webhooks', hook({ headers: record(20, (n) => `h ${LONG.slice(0, 9_000)}${n}`, 'x') }), 0],
  ['patterns', '/webhooks', hook({ events: many(100, (n) => `BAD ${n}`) }), 50],
  ['too many patterns', '/webhooks', hook({ events: many(100_000, () => 'BAD') }), 0],
  ['signature styles', '/webhooks', hook({ signature_styles: many(100_000, () => 'x') }), 0],
  ['waits of a schedule', '/webhooks', hook({ retry_policy: { schedule: many(100_000, () => 'x') } }), 0],
  ['statuses of a replay', '/webhooks/WEBHOOK/replay', { since: SINCE, statuses: many(100_000, () => 'x') }, 0],
  ['types of a replay', '/dead-letters/replay', { event_types: many(100, (n) => `BAD ${n}`) }, 50],
  ['ids to discard', '/dead-letters/discard', { delivery_ids: many(1_000, (n) => `del_${n}`) }, 950],
  ['too many ids to discard', '/dead-letters/discard', { delivery_ids: many(90_000, (n) => `d${n}`) }, 0],
  ['key fields', '/event-types', { name: 'a.b', key_fields: many(20, () => '..') }, 0],
  ['a body that is a long list', '/events', many(100_000, () => 1), 0],
];

describe('a request in which very much is wrong', () => {
  let webhook: string;
  beforeAll(async () => {
    webhook = (await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' }, { active: false })).id;
  });

  test.each(CASES)('%s', async (_, path, body, omitted) => {
    const answer = await posthorn.api.call('POST', path.replace('WEBHOOK', webhook), body);
    expectShort(answer);
    expect(answer.body.errors_omitted ?? 0).toBe(omitted);
  });

  test('webhooks that are not there', async () => {
    const { id } = await posthorn.api.publish('a', {});
    const webhook_ids = many(100, (n) => `wh_01m84me0xme4gbxcg2xav${String(n).padStart(5, '0')}`);
    expectShort(await posthorn.api.call('POST', `/events/${id}/replay`, { webhook_ids }));
  });

  test('parameters of a query', async () => {
    const query = many(1_000, (n) => `u${n}=1`).join('&');
    const answer = await posthorn.api.call('GET', `/events?${query}`);
    expectShort(answer);
    expect(answer.body.errors_omitted).toBeGreaterThan(0);
  });

  test('data that does not match its schema', async () => {
    const properties = record(100, (n) => `p${n}`, { type: 'string' });
    await posthorn.api.ok('POST', '/event-types', { name: 'wide' });
    await posthorn.api.ok('POST', '/event-types/wide/versions', {
      version: '1.0',
      schema: { type: 'object', properties, required: Object.keys(properties) },
    });
    for (const data of [{}, record(100, (n) => `p${n}`, 1)]) {
      expectShort(await posthorn.api.call('POST', '/events', { type: 'wide', data }));
    }
  });

  function expectShort({ status, body }: Answer): void {
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'validation_failed' });
    expect(body.errors.length).toBeGreaterThan(0);
    expect(body.errors.length).toBeLessThanOrEqual(MAX_ERRORS);
    expect(JSON.stringify(body).length).toBeLessThan(MAX_BYTES);
  }
});

test('an event of a batch says how many of its errors were left out', async () => {
  const unknown = (count: number) => ({ type: 'a', data: {}, ...record(count, (n) => `u${n}`, 1) });
  const answer = await posthorn.api.call('POST', '/events/batch', { events: [unknown(60), unknown(50)] });
  const errors = answer.body.data.map(({ error }: any) => [error.errors.length, error.errors_omitted]);
  expect(errors).toEqual([
    [MAX_ERRORS, 60 - MAX_ERRORS],
    [50, undefined],
  ]);
});

describe('a batch in which very much is wrong', () => {
  test.each<[string, unknown[]]>([
    ['events of nothing', many(1_000, () => 1)],
    ['unknown fields', many(1_000, () => ({ type: 'a', data: {}, ...record(60, (n) => `unknown${n}`, 1) }))],
    ['long names', many(8, () => ({ type: 'A', data: 1, [LONG]: 1 }))],
    [
      'many faults each',
      many(1_000, () => ({ type: 'A', data: 1, id: '', version: ' ', priority: 1, payload: 1, x: 1 })),
    ],
  ])('%s', async (_, events) => {
    const answer = await posthorn.api.call('POST', '/events/batch', { events });
    expect(answer.status).toBe(202);
    expect(answer.body.data).toHaveLength(events.length);
    for (const { status, error } of answer.body.data) {
      expect(status).toBe(422);
      expect(error.errors.length).toBeGreaterThan(0);
    }
    expect(JSON.stringify(answer.body).length).toBeLessThan(1024 * 1024);
  });
});
