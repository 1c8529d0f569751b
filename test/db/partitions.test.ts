import { ensurePartitions, WEEKS_AHEAD, weekStartMs, weeksAhead } from '../../src/db/partitions';
import { publishEvent } from '../../src/db/publish/publish-one';
import { newUuid, uuidFloor } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import { addWebhook } from './support';

const WEEK_MS = 7 * 24 * 3_600_000;
const TABLES = ['events', 'deliveries', 'attempts'];

const db = databaseForFile({ poolSize: 8, planner: 'default' });
const tenantId = newUuid();

beforeAll(async () => {
  const webhookId = newUuid();
  await addWebhook(db.pool, webhookId, 0);
  await db.pool.query(`insert into subscriptions (tenant_id, pattern, webhook_id) values ($1, '*', $2)`, [
    tenantId,
    webhookId,
  ]);
});

/** Publishes an event of that time, and says in which partitions it and its delivery came to lie. */
async function publishAt(atMs: number) {
  const id = newUuid(atMs);
  const createdAt = new Date(atMs);
  await publishEvent(db.pool, { id, tenantId, type: 'a.b', body: Buffer.from('{}'), createdAt, patterns: ['*'] });
  const { rows } = await db.pool.query(
    `select e.tableoid::regclass::text as event, d.tableoid::regclass::text as delivery
     from events e join deliveries d on d.event_id = e.id where e.id = $1`,
    [id],
  );
  return rows;
}

const suffix = (atMs: number) => `w${new Date(weekStartMs(atMs)).toISOString().slice(0, 10).replaceAll('-', '')}`;

test('weeks begin on Monday, 00:00 UTC', () => {
  const monday = Date.UTC(2026, 10, 23);
  expect(weekStartMs(monday)).toBe(monday);
  expect(weekStartMs(monday + WEEK_MS - 1)).toBe(monday);
  expect(weekStartMs(monday - 1)).toBe(monday - WEEK_MS);
  expect(new Date(weekStartMs(0)).toISOString()).toBe('1969-12-29T00:00:00.000Z');
});

test('partitions are made ahead, and another call finds nothing to make', async () => {
  const now = Date.now();
  expect(await weeksAhead(db.pool, now)).toBe(WEEKS_AHEAD);
  expect(await ensurePartitions(db.pool, now)).toBe(0);
  expect(await weeksAhead(db.pool, now + 2 * WEEK_MS)).toBe(WEEKS_AHEAD - 2);
  expect(await ensurePartitions(db.pool, now + 2 * WEEK_MS)).toBe(2 * TABLES.length);
  expect(await weeksAhead(db.pool, now + 2 * WEEK_MS)).toBe(WEEKS_AHEAD);
});

test('an event and its delivery lie in the week of the event', async () => {
  const now = Date.now();
  expect(await publishAt(now)).toEqual([{ event: `events_${suffix(now)}`, delivery: `deliveries_${suffix(now)}` }]);
});

test('a publish into a week without a partition makes it and succeeds', async () => {
  const far = Date.now() + 200 * WEEK_MS;
  expect(await weeksAhead(db.pool, far)).toBe(-1);
  expect(await publishAt(far)).toEqual([{ event: `events_${suffix(far)}`, delivery: `deliveries_${suffix(far)}` }]);
});

test('many publishes at once into a week without a partition succeed, while others publish into weeks that exist', async () => {
  const far = Date.now() + 300 * WEEK_MS;
  const published = await Promise.all(Array.from({ length: 24 }, (_, i) => publishAt(i % 2 ? far : Date.now())));
  expect(published.flat()).toHaveLength(24);
  expect(new Set(published.flat().map((row) => row.event))).toEqual(
    new Set([`events_${suffix(far)}`, `events_${suffix(Date.now())}`]),
  );
});

test('a publish now succeeds when this week’s partitions were dropped', async () => {
  const now = Date.now();
  for (const table of TABLES) await db.pool.query(`drop table ${table}_${suffix(now)}`);
  expect(await weeksAhead(db.pool, now)).toBe(-1);
  expect(await publishAt(now)).toHaveLength(1);
  expect(await weeksAhead(db.pool, now)).toBe(WEEKS_AHEAD);
});

test('a reader of the whole table does not hold up making partitions, nor they a publish', async () => {
  const far = Date.now() + 400 * WEEK_MS;
  const reader = await db.pool.connect();
  try {
    await reader.query('begin');
    for (const table of TABLES) await reader.query(`select count(*) from ${table}`);
    expect(await ensurePartitions(db.pool, far)).toBe(7 * TABLES.length);
    expect(await publishAt(far)).toHaveLength(1);
    await reader.query('commit');
  } finally {
    reader.release();
  }
});

test('ids on both sides of midnight on Monday fall into different weeks', async () => {
  const monday = weekStartMs(Date.now());
  expect(uuidFloor(monday) <= newUuid(monday)).toBe(true);
  const [before] = await publishAt(monday - 1);
  const [after] = await publishAt(monday);
  expect([before.event, after.event]).toEqual([`events_${suffix(monday - WEEK_MS)}`, `events_${suffix(monday)}`]);
});
