import { newUuid, parsePublicId, toPublicId } from '../../src/domain/ids';
import type { TestApi } from '../support/api';
import { makeFailed } from '../support/failed';
import { installationForFile } from '../support/for-tests';
import { otherTenant, sql } from './support';

/** However large what is stored is, an answer is not, and everything can be had. */

const posthorn = installationForFile({}, { worker: false });
const MAX_BYTES = 2 * 1024 * 1024;
const NOWHERE = { url: 'http://127.0.0.1:9' };

let made = 0;
const tenant = () => otherTenant(posthorn as never, `large ${++made}`);
const many = <T>(count: number, item: (n: number) => T) => Array.from({ length: count }, (_, n) => item(n));

async function read(api: TestApi, path: string): Promise<any> {
  const { status, body } = await api.call('GET', path);
  expect(status).toBe(200);
  expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(MAX_BYTES);
  return body;
}

/** The whole list, page by page. */
async function readAll(api: TestApi, path: string, limit = 200): Promise<any[]> {
  const items: any[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: any = await read(api, `${path}?limit=${limit}${cursor && `&cursor=${cursor}`}`);
    items.push(...page.data);
    cursor = page.next_cursor;
  }
  return items;
}

describe('a delivery with many attempts', () => {
  const ATTEMPTS = 150;
  /** The most that is kept of an answer, of what takes most room in JSON. */
  const CONTROL = Buffer.alloc(16 * 1024, 1);

  async function attempted(data: object, responseBody: Buffer): Promise<string> {
    const failed = await makeFailed(posthorn, NOWHERE, 1);
    const id = parsePublicId('delivery', failed.deliveries[0]!)!;
    // Its event is published anew under the same id, with this data.
    await sql(
      posthorn as never,
      `update events set body = convert_to(jsonb_set(convert_from(body, 'utf8')::jsonb, '{data}', $2::jsonb)::text, 'utf8')
       where id = (select event_id from deliveries where id = $1)`,
      [id, JSON.stringify(data)],
    );
    await sql(
      posthorn as never,
      `insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome,
         status_code, request_headers, response_headers, response_body)
       select d.id, n, u, d.tenant_id, d.webhook_id, 'manual', now(), 5, 'retry', 500, '{"a":"b"}',
         jsonb_build_object('x-long', repeat('"', 8000)), $4
       from deliveries d, unnest($2::int[], $3::uuid[]) x (n, u) where d.id = $1`,
      [id, many(ATTEMPTS - 1, (n) => n + 2), many(ATTEMPTS - 1, () => newUuid()), responseBody],
    );
    await sql(posthorn as never, 'update deliveries set attempt_count = $2 where id = $1', [id, ATTEMPTS]);
    return failed.deliveries[0]!;
  }

  test.each<[string, object, Buffer]>([
    ['small ones', { n: 1 }, Buffer.from('no')],
    ['a large event', { text: '\\"'.repeat(60_000) }, Buffer.from('no')],
    ['large answers', { n: 1 }, CONTROL],
    ['both', { text: '"'.repeat(120_000) }, CONTROL],
    ['answers that are no text', { n: 1 }, Buffer.alloc(16 * 1024, 0xff)],
  ])('%s', async (_, data, responseBody) => {
    const { api } = posthorn;
    const id = await attempted(data, responseBody);
    const delivery = await read(api, `/deliveries/${id}`);
    const numbers = delivery.attempts.map(({ number }: any) => number);
    expect(numbers.at(-1)).toBe(ATTEMPTS);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    // The body once: with the newest.
    const bodies = delivery.attempts
      .map(({ request }: any) => request.body)
      .filter((body: unknown) => body !== undefined);
    expect(bodies).toHaveLength(1);
    expect(JSON.parse(delivery.attempts.at(-1).request.body).data).toEqual(data);
    // The rest is behind the cursor.
    const older = await rest(api, id, delivery.attempts_cursor);
    expect([...older.reverse(), ...numbers]).toEqual(many(ATTEMPTS, (n) => n + 1));
    const listed = await readAll(api, `/deliveries/${id}/attempts`);
    expect(listed.map(({ number }) => number)).toEqual(many(ATTEMPTS, (n) => ATTEMPTS - n));
    expect(listed.at(0)).toEqual({ ...delivery.attempts.at(-1), request: { headers: { a: 'b' } } });
  });

  async function rest(api: TestApi, id: string, from: string | null): Promise<number[]> {
    const numbers: number[] = [];
    for (let cursor = from; cursor !== null; ) {
      const page = await read(api, `/deliveries/${id}/attempts?cursor=${cursor}`);
      numbers.push(...page.data.map(({ number }: any) => number));
      cursor = page.next_cursor;
    }
    return numbers;
  }

  test('a few are all there, without a cursor', async () => {
    const failed = await makeFailed(posthorn, NOWHERE, 1);
    const delivery = await read(posthorn.api, `/deliveries/${failed.deliveries[0]}`);
    expect(delivery).toMatchObject({ attempts: [{ number: 1 }], attempts_cursor: null });
  });

  test("another tenant's are not there", async () => {
    const failed = await makeFailed(posthorn, NOWHERE, 1);
    const answer = await (await tenant()).call('GET', `/deliveries/${failed.deliveries[0]}/attempts`);
    expect(answer.status).toBe(404);
  });
});

describe('a list of large things', () => {
  test.each<[string, string, string, Record<string, unknown>]>([
    ['metadata', '/webhooks', '', { metadata: Object.fromEntries(many(50, (n) => [`m${n}`, '\u20ac'.repeat(500)])) }],
    ['filters', '/webhooks', '', { filter: { $or: many(16, (n) => ({ [`data.f${n}`]: '"'.repeat(490) })) } }],
    ['patterns', '/webhooks', '', { events: many(100, (n) => `${'x'.repeat(120)}${n}`) }],
  ])('webhooks with %s', async (_what, path, _none, settings) => {
    const api = await tenant();
    const first = await api.createWebhook(NOWHERE, settings);
    const [row] = await sql<{ id: string }>(posthorn as never, 'select id from webhooks where id = $1', [
      parsePublicId('webhook', first.id),
    ]);
    await copies('webhooks', row!.id, 150);
    await copies('webhook_gates', row!.id, 150);
    const listed = await readAll(api, path);
    expect(listed).toHaveLength(151);
    expect(new Set(listed.map(({ id }) => id)).size).toBe(151);
  });

  /** Ids that are the same for each table. */
  const ids = new Map<string, string[]>();
  async function copies(table: 'webhooks' | 'webhook_gates', id: string, count: number): Promise<void> {
    const copied = ids.get(id) ?? many(count, () => newUuid());
    ids.set(id, copied);
    const key = table === 'webhooks' ? 'id' : 'webhook_id';
    const columns = await sql<{ name: string }>(
      posthorn as never,
      `select column_name as name from information_schema.columns
       where table_name = $1 and column_name <> $2 and is_generated = 'NEVER' order by ordinal_position`,
      [table, key],
    );
    const names = columns.map(({ name }) => name).join(', ');
    await sql(
      posthorn as never,
      `insert into ${table} (${key}, ${names}) select new, ${names} from ${table}, unnest($2::uuid[]) new where ${key} = $1`,
      [id, copied],
    );
  }

  test('event types with long descriptions and key fields', async () => {
    const api = await tenant();
    const names = many(150, (n) => `type.n${String(n).padStart(3, '0')}`);
    const key_fields = many(20, (n) => `${'k'.repeat(250)}${n}`);
    await api.ok('POST', '/event-types', { name: names[0], description: '"'.repeat(2_000), key_fields });
    await sql(
      posthorn as never,
      `insert into event_types (tenant_id, name, description, key_fields)
       select tenant_id, n, description, key_fields from event_types, unnest($2::text[]) n where name = $1`,
      [names[0], names.slice(1)],
    );
    expect((await readAll(api, '/event-types')).map(({ name }) => name)).toEqual(names);
  });

  test('lines of the audit log with much in them', async () => {
    const api = await tenant();
    await api.ok('PATCH', '/settings', { unknown_event_types: 'accept' });
    await sql(
      posthorn as never,
      `insert into audit_log (id, tenant_id, actor, action, target, details)
       select u, (select tenant_id from audit_log where action = 'settings.update' order by id desc limit 1), 'cli', 'x', 'y',
         jsonb_build_object('ids', repeat('"', 30000)) from unnest($1::uuid[]) u`,
      [many(120, () => newUuid())],
    );
    expect((await readAll(api, '/audit-log')).length).toBe(121);
  });

  test('replays of many types', async () => {
    const api = await tenant();
    const { id } = await api.createWebhook(NOWHERE);
    const event_types = many(100, (n) => `${'t'.repeat(120)}${n}`);
    const { id: replay } = await api.ok('POST', `/webhooks/${id}/replay`, {
      since: '2026-01-01T00:00:00Z',
      event_types,
    });
    await sql(
      posthorn as never,
      `insert into replays (id, tenant_id, webhook_id, filter, rate_per_second, state)
       select u, tenant_id, webhook_id, filter, rate_per_second, 'completed' from replays, unnest($2::uuid[]) u where id = $1`,
      [parsePublicId('replay', replay), many(180, () => newUuid())],
    );
    expect(await readAll(api, '/replays')).toHaveLength(181);
  });
});

describe('an event type', () => {
  test('its versions have a bound together', async () => {
    const api = await tenant();
    await api.ok('POST', '/event-types', { name: 'large' });
    const schema = (n: number) => ({
      type: 'object',
      properties: Object.fromEntries(many(100, (i) => [`p${i}`, { type: 'string', description: 'd'.repeat(n) }])),
    });
    let last = 201;
    for (let n = 0; n < 20 && last === 201; n++) {
      const body = { version: `${n}`, schema: schema(500), example: { text: '\u20ac'.repeat(16_000) } };
      const answer = await api.call('POST', '/event-types/large/versions', body);
      last = answer.status;
      if (last !== 201)
        expect(answer.body).toMatchObject({ code: 'state_conflict', detail: expect.stringContaining('1048576 bytes') });
    }
    expect(last).toBe(409);
    await read(api, '/event-types/large');
  });
});

test('a page names the row behind which the next one begins, whether bytes or the limit ended it', async () => {
  const api = await tenant();
  for (let n = 0; n < 5; n++) await api.publish('a', { n });
  const all = (await api.ok('GET', '/events')).data.map(({ id }: any) => id);
  expect((await readAll(api, '/events', 2)).map(({ id }) => id)).toEqual(all);
  expect(all).toHaveLength(5);
  expect(toPublicId('event', parsePublicId('event', all[0])!)).toBe(all[0]);
});
