import { cancelDelivery } from '../../src/db/queue/cancel';
import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import { releaseLease } from '../../src/db/queue/leases';
import { askForAttempt } from '../../src/db/queue/operator-commands';
import { newUuid } from '../../src/domain/ids';
import { toTokenBucket } from '../../src/domain/rate-limit';
import { databaseForFile } from '../support/for-tests';
import { until } from '../support/until';
import {
  addWebhook,
  attemptOf,
  claim,
  claimAll,
  claimTurn,
  DELIVERED,
  fenceAndRequeue,
  HOLDER,
  isFirst,
  queueOf,
  recordAttempts,
  webhook,
} from './support';

/** More than the machine has cores, so that claims truly overlap in the server. */
const CLAIMERS = 6;

const db = databaseForFile({ poolSize: CLAIMERS, planner: 'queue' });

beforeEach(() => db.pool.query('truncate delivery_queue, webhook_gates'));

const ids = (claimed: { deliveryId: string }[]) => claimed.map((delivery) => delivery.deliveryId);
const webhooks = (claimed: { webhookId: string }[]) => claimed.map((delivery) => delivery.webhookId);
const together = <T>(work: (claimer: number) => Promise<T>) => Promise.all([...Array(CLAIMERS).keys()].map(work));

test('several claimers take every row, and none of them twice', async () => {
  for (let n = 1; n <= 20; n++) await addWebhook(db.pool, webhook(n), 200);
  const taken = await together(() => claimAll(db.pool, { perWebhook: 7 }));
  expect(taken.filter((rows) => rows.length > 0).length).toBeGreaterThan(1);
  expect(taken.flat()).toHaveLength(4_000);
  expect(new Set(ids(taken.flat())).size).toBe(4_000);
});

test('rows of one webhook are taken in publish order', async () => {
  await addWebhook(db.pool, webhook(1), 30);
  const { deliveries } = await claim(db.pool, { limit: 10 });
  expect(new Set(ids(deliveries))).toEqual(new Set((await queueOf(db.pool, webhook(1))).slice(0, 10)));
});

describe('fairness', () => {
  test('5,000 rows of one webhook do not keep a single one of another from the next claim', async () => {
    await addWebhook(db.pool, webhook(1), 5_000);
    await addWebhook(db.pool, webhook(2), 1);
    const first = await claim(db.pool);
    expect(webhooks(first.deliveries)).toEqual(Array(50).fill(webhook(1)));
    const second = await claim(db.pool, { cursors: first.nextCursors });
    expect(webhooks(second.deliveries)).toEqual([webhook(2)]);
  });

  test('an ordered webhook among flooded ones is served in every turn', async () => {
    for (let n = 1; n <= 6; n++) await addWebhook(db.pool, webhook(n), 100, { ordered: n === 3 });
    const turn = await claimTurn(db.pool, { limit: 10, perWebhook: 10 });
    expect(new Set(webhooks(turn)).size).toBe(6);
  });

  test('the cursor goes round over more webhooks than one claim looks at', async () => {
    for (let n = 1; n <= 25; n++) await addWebhook(db.pool, webhook(n), 1);
    const sizes: number[] = [];
    const seen = new Set<string>();
    let cursors = FIRST_CURSORS;
    do {
      const { deliveries, nextCursors } = await claim(db.pool, { scan: 10, cursors });
      sizes.push(deliveries.length);
      for (const id of webhooks(deliveries)) seen.add(id);
      cursors = nextCursors;
    } while (!isFirst(cursors));
    expect(sizes).toEqual([10, 10, 5]);
    expect(seen.size).toBe(25);
  });

  test('a webhook gets no more than its cap, and what is held counts', async () => {
    await addWebhook(db.pool, webhook(1), 100, { maxInFlight: 8 });
    await addWebhook(db.pool, webhook(2), 100);
    const occupied = new Map([
      [webhook(1), 3],
      [webhook(2), 12],
    ]);
    const { deliveries } = await claim(db.pool, { perWebhook: 12, budget: { ...EMPTY_BUDGET, occupied } });
    expect(webhooks(deliveries)).toEqual(Array(5).fill(webhook(1)));
    const free = await claim(db.pool, { perWebhook: 12 });
    expect(webhooks(free.deliveries).sort()).toEqual([...Array(8).fill(webhook(1)), ...Array(12).fill(webhook(2))]);
  });

  test('a claim takes the prefetch beyond the cap, and nothing of a webhook to skip', async () => {
    await addWebhook(db.pool, webhook(1), 100, { maxInFlight: 8 });
    await addWebhook(db.pool, webhook(2), 100, { maxInFlight: 8 });
    const prefetch = new Map([
      [webhook(1), 5],
      [webhook(2), 5],
    ]);
    const budget = { occupied: new Map([[webhook(1), 6]]), prefetch, skip: new Set([webhook(2)]) };
    const { deliveries } = await claim(db.pool, { budget });
    expect(webhooks(deliveries)).toEqual(Array(7).fill(webhook(1)));
  });
});

describe.each([
  ['paused', { status: 'paused' }, `update webhook_gates set status = 'active'`],
  ['blocked for a time', { blockedForSeconds: 3_600 }, `update webhook_gates set blocked_until = 'epoch'`],
] as const)('a gate that is %s', (_, shut, open) => {
  test('keeps its rows as they are, and all of them are claimable once it opens', async () => {
    await addWebhook(db.pool, webhook(1), 1_000, shut);
    await addWebhook(db.pool, webhook(2), 3);
    expect(webhooks(await claimAll(db.pool))).toEqual(Array(3).fill(webhook(2)));
    const untouched = await db.pool.query(
      `select count(*) from delivery_queue where webhook_id = $1 and lease_until = 'epoch' and attempt = 0`,
      [webhook(1)],
    );
    expect(untouched.rows).toEqual([{ count: 1_000 }]);

    await db.pool.query(open);
    expect(new Set(ids(await claimAll(db.pool)))).toEqual(new Set(await queueOf(db.pool, webhook(1))));
  });

  test('costs an index probe, however many rows wait behind it', async () => {
    await addWebhook(db.pool, webhook(1), 5_000, shut);
    const before = await queueReads();
    for (let i = 0; i < 20; i++) expect((await claim(db.pool)).deliveries).toEqual([]);
    const after = await queueReads();
    expect(after.written - before.written).toBe(0);
    expect((after.read - before.read) / 20).toBeLessThan(5);
  });
});

/** Rows of the queue that were read and written so far, by everyone. */
async function queueReads(): Promise<{ read: number; written: number }> {
  // Each session reports its own counts when it is idle, or when told to.
  await together(() => db.pool.query('select pg_stat_force_next_flush(), pg_sleep(0.05)'));
  const { rows } = await db.pool.query(
    `select (idx_tup_fetch + seq_tup_read) as read, (n_tup_upd + n_tup_del) as written
     from pg_stat_user_tables where relname = 'delivery_queue'`,
  );
  return rows[0];
}

test('a lease that runs out makes the row claimable again', async () => {
  await addWebhook(db.pool, webhook(1), 1);
  const { deliveries } = await claim(db.pool, { leaseMs: 2_000 });
  expect(deliveries).toHaveLength(1);
  expect(await claimAll(db.pool)).toEqual([]);
  const again = await until('the lease to run out', async () => {
    const { deliveries: now } = await claim(db.pool);
    return now.length > 0 && now;
  });
  expect(again).toEqual(deliveries);
});

describe('an ordered webhook', () => {
  test('has one delivery in flight and ends them in publish order, with claimers that die in between', async () => {
    const COUNT = 60;
    await addWebhook(db.pool, webhook(1), COUNT, { ordered: true });
    const published = await queueOf(db.pool, webhook(1));
    const inFlight = new Set<string>();
    const ended: string[] = [];
    let most = 0;
    let claims = 0;
    await together(async () => {
      while (ended.length < COUNT && most <= 1) {
        const { deliveries } = await claim(db.pool, { leaseMs: 2_000 });
        for (const claimed of deliveries) {
          inFlight.add(claimed.deliveryId);
          most = Math.max(most, inFlight.size, deliveries.length);
          // Every twentieth claimer dies here: the row stays leased until its time is over.
          if (++claims % 20 === 0) continue;
          inFlight.delete(claimed.deliveryId);
          ended.push(claimed.deliveryId);
          await recordAttempts(db.pool, [attemptOf(claimed, 1, DELIVERED)]);
        }
      }
    });
    expect(most).toBe(1);
    expect(ended).toEqual(published);
  });

  test('waits for its head while that waits for a retry, and goes on at its end', async () => {
    await addWebhook(db.pool, webhook(1), 3, { ordered: true });
    const [head] = await claimAll(db.pool);
    await recordAttempts(db.pool, [attemptOf(head!, 1, { kind: 'wait', waitMs: 0 })]);
    expect(await claimAll(db.pool)).toEqual([]);
    await recordAttempts(db.pool, [attemptOf(head!, 2, DELIVERED)]);
    expect(await claimAll(db.pool)).toHaveLength(1);
  });

  test.each([
    ['requeued', (id: string) => fenceAndRequeue(db, id, 2), 0],
    ['asked for', (id: string) => askForAttempt(db.kysely, id, newUuid()), 0],
    ['cancelled', (id: string) => cancelDelivery(db.kysely, id), 1],
  ])('goes on when its waiting head is %s', async (_, leave, next) => {
    await addWebhook(db.pool, webhook(1), 3, { ordered: true });
    const published = await queueOf(db.pool, webhook(1));
    const [head] = await claimAll(db.pool);
    await recordAttempts(db.pool, [attemptOf(head!, 1, { kind: 'wait', waitMs: 3_600_000 })]);
    await leave(head!.deliveryId);
    expect(ids(await claimAll(db.pool))).toEqual([published[next]]);
  });
});

test('a claimed row that is given back is claimable at once, that of an ordered webhook as well', async () => {
  await addWebhook(db.pool, webhook(1), 2, { ordered: true });
  const [head] = await claimAll(db.pool);
  expect(await claimAll(db.pool)).toEqual([]);
  await releaseLease(db.kysely, head!.deliveryId, HOLDER);
  expect(ids(await claimAll(db.pool))).toEqual([head!.deliveryId]);
});

describe('a rate-limited webhook', () => {
  test('gets its burst at once and then nothing', async () => {
    await addWebhook(db.pool, webhook(1), 100, { ratePerSecond: 0.01, burst: 5 });
    const taken = await together(() => claimAll(db.pool));
    expect(taken.flat()).toHaveLength(5);
  });

  test.each([
    [{ count: 1, perMs: 86_400_000 }, 1],
    [{ count: 20, perMs: 86_400_000 }, 2],
    [{ count: 2, perMs: 5_400_000 }, 1],
  ])('gets its tokens however seldom they come: %j', async (limit, burst) => {
    await addWebhook(db.pool, webhook(1), 10, toTokenBucket(limit));
    expect(await claimAll(db.pool)).toHaveLength(burst);
    await db.pool.query(`update webhook_gates set rate_next_at = now() - 1.01 * interval '1 s' / rate_per_second`);
    expect(await claimAll(db.pool)).toHaveLength(1);
  });

  test('gets no more than its rate from all claimers together', async () => {
    const RATE = 20;
    const BURST = 5;
    await addWebhook(db.pool, webhook(1), 200, { ratePerSecond: RATE, burst: BURST });
    const began = performance.now();
    let taken = 0;
    let mostAhead = -BURST;
    await together(async () => {
      while (taken < 40) {
        const { deliveries } = await claim(db.pool);
        taken += deliveries.length;
        const allowed = BURST + ((performance.now() - began) / 1_000) * RATE;
        mostAhead = Math.max(mostAhead, taken - allowed);
      }
    });
    expect(mostAhead).toBeLessThanOrEqual(0);
    expect(taken).toBeGreaterThanOrEqual(40);
  });

  test.each([0, 1, 2, 4, 8])(
    'gets every token of its rate: %d of those that have come since its burst',
    async (tokens) => {
      const BURST = 10;
      await addWebhook(db.pool, webhook(1), 200, { ratePerSecond: 0.01, burst: BURST });
      await together(() => claimAll(db.pool));
      // So much time has passed, and half a token's more, however long the test took.
      await db.pool.query(
        `update webhook_gates set rate_next_at = now() - ($1 + 0.5) * interval '1 s' / rate_per_second`,
        [tokens],
      );
      expect((await together(() => claimAll(db.pool))).flat()).toHaveLength(tokens);
    },
  );
});
