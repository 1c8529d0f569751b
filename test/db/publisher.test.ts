import { WEEKS_AHEAD } from '../../src/db/partitions';
import { createPublisher, type Publisher } from '../../src/db/publish/publisher';
import type { NewEvent } from '../../src/db/publish/types';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import { addWebhook } from './support';

const db = databaseForFile({ poolSize: 4, planner: 'default' });
let publisher: Publisher;

beforeAll(async () => {
  publisher = createPublisher(db.pool);
});

async function newTenant(webhooks: number): Promise<string> {
  const tenantId = newUuid();
  for (let n = 0; n < webhooks; n++) {
    const id = newUuid();
    await addWebhook(db.pool, id, 0);
    await db.pool.query(`insert into subscriptions (tenant_id, pattern, webhook_id) values ($1, '*', $2)`, [
      tenantId,
      id,
    ]);
  }
  return tenantId;
}

function newEvent(tenantId: string, change: Partial<NewEvent> = {}): NewEvent {
  const createdAt = change.createdAt ?? new Date();
  const id = newUuid(createdAt.getTime());
  return { id, tenantId, type: 'a.b', body: Buffer.from(`{"id":"${id}"}`), createdAt, patterns: ['*'], ...change };
}

const stored = async (tenantId: string) =>
  (await db.pool.query('select id, body, xmin::text from events where tenant_id = $1 order by id', [tenantId])).rows;
const deliveries = async (eventId: string) =>
  (await db.pool.query('select count(*)::int as n from delivery_queue where event_id = $1', [eventId])).rows[0].n;

test('events of several tenants share statements: each is there once, for its own webhooks', async () => {
  const tenants = [await newTenant(1), await newTenant(3), await newTenant(0)];
  const events = Array.from({ length: 60 }, (_, n) => newEvent(tenants[n % 3]!));
  const published = await Promise.all(events.map((event) => publisher.publish(event)));
  for (const [n, event] of events.entries()) {
    const expected = [1, 3, 0][n % 3]!;
    expect(published[n]).toMatchObject({ eventId: event.id, deliveries: expected, duplicate: false });
    expect(await deliveries(event.id)).toBe(expected);
  }
  const rows = (await Promise.all(tenants.map(stored))).flat();
  expect(rows.map(({ id }) => id).sort()).toEqual(events.map(({ id }) => id).sort());
  for (const { id, body } of rows) expect(body.toString()).toBe(`{"id":"${id}"}`);
  // The test is about this: they did not go one by one.
  expect(new Set(rows.map(({ xmin }) => xmin)).size).toBeLessThan(20);
});

test('an event that Postgres refuses fails alone', async () => {
  const tenantId = await newTenant(1);
  const events = Array.from({ length: 20 }, (_, n) => newEvent(tenantId, n === 7 ? { type: 'a\0b' } : {}));
  const settled = await Promise.allSettled(events.map((event) => publisher.publish(event)));
  expect(settled.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([7]);
  expect(await stored(tenantId)).toHaveLength(19);
});

test('of one producer’s id there is one event, whoever came first, in the same statement or another', async () => {
  const tenantId = await newTenant(2);
  const events = Array.from({ length: 12 }, (_, n) => newEvent(tenantId, { producerId: `mine-${n % 3}` }));
  const published = await Promise.all(events.map((event) => publisher.publish(event)));
  expect(await stored(tenantId)).toHaveLength(3);
  for (const id of ['mine-0', 'mine-1', 'mine-2']) {
    const same = published.filter((_, n) => events[n]!.producerId === id);
    expect(new Set(same.map(({ eventId }) => eventId)).size).toBe(1);
    expect(same.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(same.every((one) => one.deliveries === 2)).toBe(true);
  }
});

test('of one Idempotency-Key there is one event, and the others hear what became of it', async () => {
  const tenantId = await newTenant(1);
  const request = { key: 'once', requestHash: Buffer.alloc(32, 1), answerHead: '{"deliveries":' };
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, () => publisher.publishOnce(newEvent(tenantId), request)),
  );
  expect(await stored(tenantId)).toHaveLength(1);
  expect(outcomes.filter(({ state }) => state === 'published')).toHaveLength(1);
  const others = outcomes.filter(({ state }) => state !== 'published');
  for (const other of others) expect(other).toMatchObject({ state: 'done', status: 202, answer: '{"deliveries":1}' });
  const mismatch = { ...request, requestHash: Buffer.alloc(32, 2) };
  expect(await publisher.publishOnce(newEvent(tenantId), mismatch)).toEqual({ state: 'mismatch' });
});

test('a week without a partition is made, for all that share the statement', async () => {
  const tenantId = await newTenant(1);
  const createdAt = new Date(Date.now() + (WEEKS_AHEAD + 3) * 7 * 24 * 3_600_000);
  const events = Array.from({ length: 5 }, () => newEvent(tenantId, { createdAt }));
  const published = await Promise.all(events.map((event) => publisher.publish(event)));
  expect(published.map((one) => one.deliveries)).toEqual([1, 1, 1, 1, 1]);
});

test('a producer that waits for its answers is not held up; of many at once, all are published', async () => {
  const tenant = await newTenant(1);
  const lone = createPublisher(db.pool);
  await lone.publish(newEvent(tenant));
  expect(lone.busy).toBe(false);
  const flood = Array.from({ length: 40 }, () => lone.publish(newEvent(tenant)));
  expect(lone.busy).toBe(true);
  expect(new Set((await Promise.all(flood)).map(({ eventId }) => eventId)).size).toBe(40);
  expect(await stored(tenant)).toHaveLength(41);
});
