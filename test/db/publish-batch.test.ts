import { WEEKS_AHEAD } from '../../src/db/partitions';
import { chunksOf, publishBatch } from '../../src/db/publish/publish-batch';
import type { BatchEvent } from '../../src/db/publish/types';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import { until } from '../support/until';
import { addWebhook, webhook } from './support';

const db = databaseForFile({ poolSize: 4, planner: 'default' });

const newEvents = (tenantId: string, count: number, createdAt = new Date()): BatchEvent[] =>
  Array.from({ length: count }, () => ({
    id: newUuid(createdAt.getTime()),
    tenantId,
    type: 'a.b',
    body: Buffer.from('{}'),
    createdAt,
    patterns: ['*'],
  }));

async function subscribe(tenantId: string, webhooks: number): Promise<void> {
  for (let n = 1; n <= webhooks; n++) {
    const id = newUuid();
    await addWebhook(db.pool, id, 0);
    await db.pool.query(`insert into subscriptions (tenant_id, pattern, webhook_id) values ($1, '*', $2)`, [
      tenantId,
      id,
    ]);
  }
}

test('a batch with more deliveries than one statement may make goes in several, in its order', async () => {
  const tenantId = webhook(1);
  await subscribe(tenantId, 11);
  const events = newEvents(tenantId, 1_000);
  const results = await publishBatch(db.pool, events);
  expect(results).toEqual(events.map(({ id }) => ({ eventId: id, deliveries: 11, duplicate: false })));
  const { rows: statements } = await db.pool.query(
    `select xmin::text, count(*)::int as deliveries from delivery_queue where tenant_id = $1 group by 1 order by min(seq)`,
    [tenantId],
  );
  expect(statements.map((row) => row.deliveries)).toEqual([909 * 11, 91 * 11]);
  const { rows } = await db.pool.query(
    'select event_id from delivery_queue where tenant_id = $1 group by event_id order by min(seq)',
    [tenantId],
  );
  expect(rows.map((row) => row.event_id)).toEqual(events.map(({ id }) => id));
});

test('a week without a partition gets one', async () => {
  const at = new Date(Date.now() + (WEEKS_AHEAD + 3) * 7 * 24 * 3_600_000);
  const [event] = newEvents(webhook(2), 1, at);
  expect(await publishBatch(db.pool, [event!])).toEqual([{ eventId: event!.id, deliveries: 0, duplicate: false }]);
});

test('a batch that waits for a key holds none that comes after it', async () => {
  const tenantId = webhook(3);
  const batch = newEvents(tenantId, 2).map((event, n) => ({
    ...event,
    once: { kind: 'event' as const, key: n === 0 ? 'z' : 'm' },
  }));
  const other = await db.pool.connect();
  try {
    const insert = (key: string) =>
      other.query(`insert into idempotency_keys (tenant_id, kind, key, event_id) values ($1, 'event', $2, $3)`, [
        tenantId,
        key,
        newUuid(),
      ]);
    await other.query('begin');
    await insert('m');
    const published = publishBatch(db.pool, batch);
    await until('the batch to wait', async () => {
      const { rows } = await db.pool.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    // Where the batch held `z` by now, each would wait for the other.
    await insert('z');
    await other.query('commit');
    expect(await published).toMatchObject([{ duplicate: true }, { duplicate: true }]);
  } finally {
    other.release();
  }
});

test.each<[number[], number[][]]>([
  [[], []],
  [[1], [[1]]],
  [[5, 5], [[5, 5]]],
  [
    [5, 6],
    [[5], [6]],
  ],
  [
    [11, 1, 20, 9, 1],
    [[11], [1], [20], [9, 1]],
  ],
])('parts of at most 10 of %j', (sizes, parts) => {
  expect(chunksOf(sizes, (size) => size, 10)).toEqual(parts);
});
