import { Client, type Pool } from 'pg';
import { toApiError } from '../../src/api/errors';
import { type Database, openDatabase } from '../../src/db/database';
import { ensurePartitions } from '../../src/db/partitions';
import { listAudit } from '../../src/db/store/audit-log';
import { listDeadLetters } from '../../src/db/store/dead-letters';
import { listDeliveries } from '../../src/db/store/deliveries';
import { listEvents } from '../../src/db/store/events';
import type { Found, Part } from '../../src/db/store/scan';
import { SCAN } from '../../src/db/store/scan';
import { parsePublicId, toPublicId } from '../../src/domain/ids';
import { rowsRead } from '../db/support';
import type { TestApi } from '../support/api';
import { installationForFile } from '../support/for-tests';
import { expectProblem, otherTenant, sql } from './support';

/** Lists of a tenant with very much: each statement looks at so much and no more, and paging finds all of it. */

const posthorn = installationForFile({}, { worker: false });
/** Two and a half looks. */
const ROWS = SCAN * 2.5;
const RARE = 'rare.type';
/** One delivery in so many is of each rare kind. */
const EVERY = SCAN / 2;
const STARTED = Date.now() - 3_600_000;

let api: TestApi;
let db: Database;
let pool: Pool;
let tenantId: string;
let webhookId: string;
let rareWebhook: string;

beforeAll(async () => {
  api = await otherTenant(posthorn as never, 'with very much');
  db = openDatabase({ url: posthorn.databaseUrl, poolSize: 1, applicationName: 'test', planner: 'default' });
  pool = db.pool;
  await ensurePartitions(pool, Date.now());
  const nowhere = { url: 'http://127.0.0.1:9' };
  webhookId = parsePublicId('webhook', (await api.createWebhook(nowhere, { active: false })).id)!;
  rareWebhook = parsePublicId('webhook', (await api.createWebhook(nowhere, { active: false })).id)!;
  tenantId = (
    await sql<{ t: string }>(posthorn as never, 'select tenant_id as t from webhooks where id = $1', [webhookId])
  )[0]!.t;
  // A row each millisecond: its id is what uuidFloor makes of the time, with the version's digit.
  const id = (n: string) => `((lpad(to_hex($2::bigint + ${n}), 12, '0')) || '70008000000000000000')::uuid`;
  await pool.query(
    `insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, ended_at, failed_at, failed_because)
     select ${id('n')}, $1, ${id('n')}, case when n % $6 = 5 then $4::uuid else $3::uuid end,
       case when n % $6 = 1 then $7 else 'usual.type' end,
       case when n % $6 in (2, 7) then 'failed' when n % $6 = 3 then 'cancelled' when n % $6 = 4 then 'pending' else 'delivered' end,
       1, now(), case when n % $6 = 2 then now() end, case when n % $6 in (2, 7) then 'exhausted' end
     from generate_series(0, $5 - 1) n`,
    [tenantId, STARTED, webhookId, rareWebhook, ROWS, EVERY, RARE],
  );
  await pool.query(
    `insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type)
     select id, tenant_id, event_id, webhook_id, event_type from deliveries where tenant_id = $1 and state = 'pending'`,
    [tenantId],
  );
  await pool.query(
    `insert into events (id, tenant_id, type, body)
     select id, tenant_id, event_type, '{}' from deliveries where tenant_id = $1`,
    [tenantId],
  );
  await pool.query(
    `insert into audit_log (id, tenant_id, actor, action, target)
     select id, tenant_id, 'cli', event_type, event_type from deliveries where tenant_id = $1`,
    [tenantId],
  );
  // The planner knows nothing of them yet: nor does it of a new week.
}, 180_000);
afterAll(() => db?.close());

const WINDOW = { since: new Date(STARTED - 1_000), until: new Date(STARTED + 2 * ROWS) };
const query = `since=${WINDOW.since.toISOString()}&until=${WINDOW.until.toISOString()}`;

async function readAll(path: string): Promise<{ ids: string[]; pages: number }> {
  const ids: string[] = [];
  let pages = 0;
  for (let cursor: string | null = ''; cursor !== null; pages++) {
    const page: any = await api.ok('GET', `${path}&${query}${cursor && `&cursor=${cursor}`}`);
    ids.push(...page.data.map(({ id }: any) => id));
    cursor = page.next_cursor;
  }
  return { ids, pages };
}
const rareOf = (rest: number) => Array.from({ length: ROWS / EVERY }, (_, i) => STARTED + i * EVERY + rest).reverse();
const timesOf = (ids: string[]) => ids.map((id) => Number.parseInt(uuidOf(id).replaceAll('-', '').slice(0, 12), 16));
const uuidOf = (id: string) =>
  parsePublicId(id.startsWith('del') ? 'delivery' : id.startsWith('evt') ? 'event' : 'audit', id)!;

describe.each<[string, 'analyzed' | 'not']>([
  ['before the planner knows of them', 'not'],
  ['once it does', 'analyzed'],
])('%s', (_, known) => {
  beforeAll(async () => {
    if (known === 'analyzed') await pool.query('vacuum analyze');
  });

  test.each<[string, string, number[]]>([
    ['a rare type', `/deliveries?event_type=${RARE}`, rareOf(1)],
    ['the failed', '/deliveries?status=failed', [...rareOf(7), ...rareOf(2)].sort((a, b) => b - a)],
    ['the cancelled', '/deliveries?status=cancelled', rareOf(3)],
    ['the held', '/deliveries?status=held', rareOf(4)],
    ['those that retry, of which there are none', '/deliveries?status=retrying', []],
    ['those under way, of which there are none', '/deliveries?status=in_progress', []],
    ['the failed of a type that none of them has', `/deliveries?status=failed&event_type=${RARE}`, []],
    ['events of a rare type', `/events?type=${RARE}`, rareOf(1)],
    ['a rare action', `/audit-log?action=${RARE}`, rareOf(1)],
    ['a rare target', `/audit-log?target=${RARE}`, rareOf(1)],
    ['an actor that is not there', '/audit-log?actor=nobody', []],
    ['dead letters', '/dead-letters?limit=3', rareOf(2)],
    ['dead letters of a type', `/dead-letters?event_type=usual.type`, rareOf(2)],
  ])('paging finds %s', async (_what, path, wanted) => {
    expect(timesOf((await readAll(path)).ids)).toEqual(wanted);
  });

  type List = (part: Part) => Promise<Found<unknown>>;
  const deliveries = (filter: object) => (part: Part) =>
    listDeliveries(db.kysely, tenantId, { ...WINDOW, ...filter, ...part });
  test.each<[string, string, () => List, number]>([
    ['of a type', 'deliveries%', () => deliveries({ eventType: RARE }), SCAN],
    ['cancelled', 'deliveries%', () => deliveries({ state: 'cancelled' }), SCAN],
    ['held', 'deliveries%', () => deliveries({ state: 'held' }), SCAN],
    ['held, of the queue', 'delivery_queue', () => deliveries({ state: 'held' }), 100],
    ['pending of a webhook', 'deliveries%', () => deliveries({ state: 'pending', webhookId }), SCAN],
    ['failed', 'deliveries%', () => deliveries({ state: 'failed' }), 100],
    ['failed of a webhook', 'deliveries%', () => deliveries({ state: 'failed', webhookId: rareWebhook }), 100],
    ['of a webhook', 'deliveries%', () => deliveries({ webhookId: rareWebhook }), 100],
    ['all', 'deliveries%', () => deliveries({}), 100],
    [
      'events of a type',
      'events%',
      () => (part) => listEvents(db.kysely, tenantId, { ...WINDOW, type: RARE, ...part }),
      SCAN,
    ],
    [
      'lines of an action',
      'audit_log',
      () => (part) => listAudit(db.kysely, tenantId, { ...WINDOW, action: 'x', ...part }),
      SCAN,
    ],
    [
      'dead letters of a type',
      'deliveries%',
      () => (part) => listDeadLetters(db.kysely, tenantId, { ...WINDOW, eventTypes: [RARE], ...part }),
      100,
    ],
  ])('a page looks at so many rows at most: %s', async (_what, tables, list, atMost) => {
    const before = await rowsRead(pool, tables);
    await list()({ limit: 50 });
    expect((await rowsRead(pool, tables)) - before).toBeLessThanOrEqual(atMost + 200);
  });
});

test("another tenant's webhook leads nowhere", async () => {
  const other = await otherTenant(posthorn as never, 'curious');
  const page = await other.ok(
    'GET',
    `/deliveries?webhook_id=${toPublicId('webhook', webhookId)}&status=delivered&${query}`,
  );
  expect(page).toEqual({ data: [], next_cursor: null });
});

test('deliveries that have moved on between the look and the read are not shown under a state that they left', async () => {
  const { data } = await api.ok('GET', `/deliveries?status=held&${query}`);
  expect(data.length).toBeGreaterThan(0);
  expect(data.filter(({ status }: any) => status !== 'held')).toEqual([]);
});

test('discarding by a filter goes through all dead letters, and says how many it discarded', async () => {
  const later = new Date(STARTED + 2 * ROWS).toISOString();
  const since = WINDOW.since.toISOString();
  const discard = (body: object) => api.ok('POST', '/dead-letters/discard', { since, until: later, ...body });
  expect(await discard({ event_types: [RARE] })).toEqual({ discarded: 0, more: false });
  expect(await discard({ event_types: ['usual.type'] })).toEqual({ discarded: ROWS / EVERY, more: false });
});

describe('a statement that runs out of time', () => {
  test.each(['57014'])('is not said to be a database that is away: %s', (code) => {
    const problem = toApiError(Object.assign(new Error('canceling statement due to statement timeout'), { code }));
    expect(problem).toMatchObject({ code: 'query_too_slow', status: 503 });
  });

  test.each(['57P01', '57P02', '57P03', '08006', '53300'])('is said to be one where it is: %s', (code) => {
    expect(toApiError(Object.assign(new Error('x'), { code }))).toMatchObject({ code: 'database_unavailable' });
  });

  test.each(['/deliveries', '/events', '/dead-letters'])('%s', async (path) => {
    const table = path === '/events' ? 'events' : 'deliveries';
    const locking = new Client({ connectionString: posthorn.databaseUrl });
    await locking.connect();
    try {
      await locking.query('begin');
      await locking.query(`lock table ${table} in access exclusive mode`);
      const answer = await api.call('GET', path);
      expectProblem(answer, { status: 503, code: 'query_too_slow' });
      expect(answer.headers.get('retry-after')).not.toBeNull();
    } finally {
      await locking.end();
    }
  });
});
