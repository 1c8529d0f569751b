import { countReplay, replayPage } from '../../src/db/store/replay-pages';
import { cancelReplay, insertReplay, type NewReplay, takeStaleReplays } from '../../src/db/store/replays';
import type { EndState } from '../../src/domain/delivery';
import { newUuid } from '../../src/domain/ids';
import type { ReplayFilter } from '../../src/domain/replay';
import { databaseForFile } from '../support/for-tests';

const db = databaseForFile({ poolSize: 6, planner: 'queue' });
let tenantId: string;
let webhookId: string;
/** Publish times of the deliveries, one millisecond apart. */
const START_MS = Date.now() - 60_000;
let clockMs = START_MS;

beforeEach(async () => {
  await db.pool.query('truncate deliveries, delivery_queue, attempts, replays');
  tenantId = await addTenant();
  webhookId = await addWebhook(tenantId);
  clockMs = START_MS;
});

async function addTenant(): Promise<string> {
  const id = newUuid();
  await db.pool.query('insert into tenants (id, name) values ($1, $2)', [id, id]);
  return id;
}

async function addWebhook(tenant: string): Promise<string> {
  const id = newUuid();
  await db.pool.query(
    `insert into webhooks (id, tenant_id, url, host, patterns, retry_policy, timeout_ms)
     values ($1, $2, 'http://127.0.0.1:9', '127.0.0.1:9', '{*}', '{"preset":"standard"}', 10000)`,
    [id, tenant],
  );
  return id;
}

type Ended = { state?: EndState; type?: string; tenant?: string; webhook?: string; endedInSeconds?: number };

/** Deliveries that ended a minute ago, after one attempt. */
async function addEnded(count: number, one: Ended = {}): Promise<string[]> {
  const state = one.state ?? 'failed';
  const ids = Array.from({ length: count }, () => newUuid(clockMs++));
  await db.pool.query(
    `insert into deliveries (id, tenant_id, event_id, webhook_id, event_type, state, attempt_count, ended_at, failed_at, failed_because)
     select id, $2, gen_random_uuid(), $3, $4, $5, 1, now() + $6::int * interval '1 s',
       case when $5 = 'failed' then now() end, case when $5 = 'failed' then 'exhausted' end
     from unnest($1::uuid[]) id`,
    [
      ids,
      one.tenant ?? tenantId,
      one.webhook ?? webhookId,
      one.type ?? 'order.created',
      state,
      one.endedInSeconds ?? -60,
    ],
  );
  return ids;
}

/** A running replay of the failed deliveries of the webhook. */
async function begin(filter: Partial<ReplayFilter> = {}, change: Partial<NewReplay> = {}): Promise<string> {
  const since = new Date(START_MS).toISOString();
  const replay = {
    id: newUuid(),
    tenantId,
    webhookId,
    filter: { since, until: new Date().toISOString(), states: ['failed' as const], ...filter },
    rate: { count: 100, perMs: 1_000 },
    askedBy: newUuid(),
    ...change,
  };
  await insertReplay(db.kysely, replay);
  await countReplay(db.kysely, replay.id);
  return replay.id;
}

/** Pages until the replay is no longer running. */
async function runOut(id: string, limit: number): Promise<number> {
  let pages = 1;
  while ((await replayPage(db.kysely, id, limit)).state === 'running') pages++;
  return pages;
}

const queued = async () =>
  (await db.pool.query<{ delivery_id: string }>('select delivery_id from delivery_queue order by seq')).rows.map(
    (row) => row.delivery_id,
  );

test('pages take the oldest first, each delivery once, and the last one ends it', async () => {
  const ids = await addEnded(23);
  const id = await begin();
  expect(await replayPage(db.kysely, id, 10)).toEqual({ state: 'running', total: 23, sent: 10, skipped: 0 });
  expect(await queued()).toEqual(ids.slice(0, 10));
  expect(await replayPage(db.kysely, id, 10)).toEqual({ state: 'running', total: 23, sent: 20, skipped: 0 });
  expect(await replayPage(db.kysely, id, 10)).toEqual({ state: 'completed', total: 23, sent: 23, skipped: 0 });
  expect(await replayPage(db.kysely, id, 10)).toEqual({ state: 'completed', total: 23, sent: 23, skipped: 0 });
  expect(await queued()).toEqual(ids);
});

test('a page that is exactly the rest ends it', async () => {
  await addEnded(20);
  expect(await runOut(await begin(), 10)).toBe(2);
});

test('the row goes into the low priority with the trigger, the asker and the number of attempts', async () => {
  const [delivery] = await addEnded(1);
  await db.pool.query(
    `insert into attempts (delivery_id, number, id, tenant_id, webhook_id, trigger, started_at, duration_ms, outcome, request_headers)
     select $1, n, gen_random_uuid(), $2, $3, 'schedule', now(), 1, 'retry', '{}' from generate_series(1, 4) n`,
    [delivery, tenantId, webhookId],
  );
  const askedBy = newUuid();
  await runOut(await begin({}, { askedBy }), 10);
  const { rows } = await db.pool.query('select * from delivery_queue');
  expect(rows).toMatchObject([
    { delivery_id: delivery, priority: 2, trigger: 'replay', asked_by: askedBy, attempt: 4, step: 0, timed: false },
  ]);
  expect((await db.pool.query('select * from deliveries')).rows).toMatchObject([
    { state: 'pending', ended_at: null, failed_at: null, failed_because: null },
  ]);
});

test('pages made at the same time never take the same delivery', async () => {
  const ids = await addEnded(200);
  const id = await begin();
  await Promise.all(Array.from({ length: 6 }, () => runOut(id, 7)));
  const taken = await queued();
  expect(taken).toHaveLength(200);
  expect(new Set(taken)).toEqual(new Set(ids));
  expect(await replayPage(db.kysely, id, 7)).toMatchObject({ state: 'completed', sent: 200, skipped: 0 });
});

describe('the filter', () => {
  test.each<[string, Partial<ReplayFilter>, number]>([
    ['failed ones by default', {}, 5],
    ['by states', { states: ['delivered', 'cancelled'] }, 5],
    ['by event types', { event_types: ['a.b', 'order.created'] }, 5],
    ['by other event types', { event_types: ['a'] }, 0],
    ['since', { since: new Date(START_MS + 2).toISOString() }, 3],
    ['until', { until: new Date(START_MS + 2).toISOString() }, 2],
  ])('takes %s', async (_, filter, expected) => {
    await addEnded(5);
    await addEnded(3, { state: 'delivered' });
    await addEnded(2, { state: 'cancelled' });
    const id = await begin(filter);
    await runOut(id, 2);
    expect(await replayPage(db.kysely, id, 2)).toEqual({
      state: 'completed',
      total: expected,
      sent: expected,
      skipped: 0,
    });
    expect(await queued()).toHaveLength(expected);
  });

  test('never takes what is of another webhook or tenant', async () => {
    const otherTenant = await addTenant();
    await addEnded(3, { tenant: otherTenant, webhook: await addWebhook(otherTenant) });
    await addEnded(3, { webhook: await addWebhook(tenantId) });
    const own = await addEnded(3);
    await runOut(await begin(), 2);
    expect(await queued()).toEqual(own);
    await runOut(await begin({}, { webhookId: null }), 2);
    const { rows } = await db.pool.query('select distinct tenant_id from delivery_queue');
    expect([(await queued()).length, rows]).toEqual([6, [{ tenant_id: tenantId }]]);
  });

  test('of dead letters leaves the discarded ones', async () => {
    const ids = await addEnded(4);
    await db.pool.query('update deliveries set failed_at = null where id = $1', [ids[1]]);
    const id = await begin({ dead_letters: true });
    await runOut(id, 2);
    expect(await queued()).toEqual([ids[0], ids[2], ids[3]]);
    const again = await begin();
    await runOut(again, 2);
    expect((await queued()).at(-1)).toBe(ids[1]);
  });
});

test('a delivery that failed again after the replay was asked for is not taken again', async () => {
  await addEnded(1);
  await addEnded(2, { endedInSeconds: 1 });
  const id = await begin();
  await runOut(id, 1);
  expect(await replayPage(db.kysely, id, 1)).toEqual({ state: 'completed', total: 1, sent: 1, skipped: 0 });
});

test('what is deleted or under way when its turn comes is skipped', async () => {
  const gone = await addWebhook(tenantId);
  const ids = await addEnded(4);
  await addEnded(3, { webhook: gone });
  const id = await begin({}, { webhookId: null });
  await db.pool.query(`update deliveries set state = 'pending', ended_at = null where id = $1`, [ids[2]]);
  await db.pool.query('update webhooks set deleted_at = now() where id = $1', [gone]);
  await runOut(id, 2);
  expect(await replayPage(db.kysely, id, 2)).toEqual({ state: 'completed', total: 7, sent: 3, skipped: 4 });
  expect(await queued()).toEqual([ids[0], ids[1], ids[3]]);
});

test('a cancelled replay makes no page', async () => {
  await addEnded(10);
  const id = await begin();
  await replayPage(db.kysely, id, 4);
  expect(await cancelReplay(db.kysely, id)).toEqual({ state: 'cancelled', total: 10, sent: 4, skipped: 0 });
  expect(await replayPage(db.kysely, id, 4)).toEqual({ state: 'cancelled', total: 10, sent: 4, skipped: 0 });
  expect(await queued()).toHaveLength(4);
});

test('a replay that is completed stays so', async () => {
  const id = await begin();
  await runOut(id, 4);
  expect(await cancelReplay(db.kysely, id)).toMatchObject({ state: 'completed', total: 0 });
});

test('running replays without a page for a while are taken, once', async () => {
  const stale = await begin();
  const moving = await begin();
  const cancelled = await begin();
  await db.pool.query(`update replays set updated_at = now() - interval '1 h' where id <> $1`, [moving]);
  await cancelReplay(db.kysely, cancelled);
  await db.pool.query(`update replays set updated_at = now() - interval '1 h' where id = $1`, [cancelled]);
  const taken = await Promise.all(Array.from({ length: 4 }, () => takeStaleReplays(db.kysely, 60_000, 10)));
  expect(taken.flat()).toMatchObject([
    { id: stale, tenantId, webhookId, state: 'running', rate: { count: 100, perMs: 1_000 }, sent: 0 },
  ]);
});
