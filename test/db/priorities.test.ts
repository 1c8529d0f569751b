import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import { PRIORITY_NAMES, type Priority, priorityOrder } from '../../src/domain/priorities';
import { databaseForFile } from '../support/for-tests';
import {
  addRows,
  addWebhook,
  attemptOf,
  claim,
  claimAll,
  claimTurn,
  DELIVERED,
  isFirst,
  queueOf,
  recordAttempts,
  webhook,
} from './support';

const db = databaseForFile({ poolSize: 4, planner: 'queue' });

beforeEach(() => db.pool.query('truncate delivery_queue, webhook_gates'));

type Claimed = { deliveryId: string; webhookId: string };
const ids = (claimed: Claimed[]) => claimed.map(({ deliveryId }) => deliveryId);

/** A webhook with so many rows in each priority, high first. */
async function addPriorities(id: string, rows: [number, number, number], gate: Parameters<typeof addWebhook>[3] = {}) {
  await addWebhook(db.pool, id, 0, gate);
  for (const [i, priority] of PRIORITY_NAMES.entries()) await addRows(db.pool, id, rows[i]!, priority);
}

/** How many of these rows stand in each priority. */
async function shares(claimed: Claimed[]): Promise<Record<Priority, number>> {
  const { rows } = await db.pool.query<Record<Priority, number>>(
    `select count(*) filter (where priority = 0) high, count(*) filter (where priority = 1) normal,
       count(*) filter (where priority = 2) low from delivery_queue where delivery_id = any($1)`,
    [ids(claimed)],
  );
  return rows[0]!;
}

describe('while there is more work than room', () => {
  test('the priority that goes first is emptied first, then the next', async () => {
    await addPriorities(webhook(1), [5, 5, 5]);
    const { deliveries, full } = await claim(db.pool, { priorities: ['low', 'high', 'normal'], limit: 7 });
    expect(full).toBe(true);
    expect(await shares(deliveries)).toEqual({ low: 5, high: 2, normal: 0 });
  });

  test.each([
    ['one webhook in all priorities', 1, 70],
    ['several webhooks in each priority', 4, 20],
  ])('high gets most over 70 turns, and no priority starves: %s', async (_, count, perWebhook) => {
    const LIMIT = 10;
    for (let n = 1; n <= count; n++) await addPriorities(webhook(n), [600 / count, 600 / count, 600 / count]);
    const taken: Claimed[] = [];
    let cursors = FIRST_CURSORS;
    for (let turn = 0; turn < 70; ) {
      const answer = await claim(db.pool, {
        priorities: priorityOrder(turn, PRIORITY_NAMES),
        cursors,
        limit: LIMIT,
        perWebhook,
      });
      cursors = answer.nextCursors;
      if (answer.full) turn++;
      taken.push(...answer.deliveries);
    }
    const { high, normal, low } = await shares(taken);
    expect(high + normal + low).toBe(taken.length);
    expect(high).toBeGreaterThan(normal);
    expect(normal).toBeGreaterThan(low);
    // One turn of seven is low's own.
    expect(low).toBeGreaterThanOrEqual((70 * LIMIT) / 7 / 2);
  });

  test('a webhook with little in a low priority is served within one round, beside a flood in high', async () => {
    await addPriorities(webhook(1), [500, 0, 0]);
    await addPriorities(webhook(2), [0, 0, 1]);
    const taken: Claimed[] = [];
    let cursors = FIRST_CURSORS;
    for (let turn = 0; turn < 7; turn++) {
      const answer = await claim(db.pool, { priorities: priorityOrder(turn, PRIORITY_NAMES), cursors, limit: 10 });
      cursors = answer.nextCursors;
      taken.push(...answer.deliveries);
    }
    expect(taken.map(({ webhookId }) => webhookId)).toContain(webhook(2));
  });
});

describe('a webhook with rows in three priorities', () => {
  test('gets no more than its cap in one claim, from the priority that goes first', async () => {
    await addPriorities(webhook(1), [1, 5, 5], { maxInFlight: 2 });
    const { deliveries } = await claim(db.pool);
    expect(await shares(deliveries)).toEqual({ high: 1, normal: 1, low: 0 });
  });

  test('has what is held counted once, not per priority', async () => {
    await addPriorities(webhook(1), [5, 5, 5], { maxInFlight: 6 });
    const { deliveries } = await claim(db.pool, {
      budget: { ...EMPTY_BUDGET, occupied: new Map([[webhook(1), 2]]) },
    });
    expect(deliveries).toHaveLength(4);
  });

  test('gets no more than its tokens where it is rate-limited', async () => {
    await addPriorities(webhook(1), [2, 2, 20], { ratePerSecond: 0.001, burst: 5 });
    const { deliveries } = await claim(db.pool);
    expect(await shares(deliveries)).toEqual({ high: 2, normal: 2, low: 1 });
    expect(await claimAll(db.pool)).toEqual([]);
  });

  test('is served in publish order where it is ordered, whatever their priorities', async () => {
    await addWebhook(db.pool, webhook(1), 0, { ordered: true });
    for (const priority of ['low', 'high', 'normal', 'high', 'low', 'normal'] as const)
      await addRows(db.pool, webhook(1), 1, priority);
    const published = await queueOf(db.pool, webhook(1));
    const ended: string[] = [];
    for (let turn = 0; turn < published.length; turn++) {
      const claimed = await claimTurn(db.pool, { priorities: priorityOrder(turn, PRIORITY_NAMES) });
      expect(claimed).toHaveLength(1);
      await recordAttempts(db.pool, [attemptOf(claimed[0]!, 1, DELIVERED)]);
      ended.push(...ids(claimed));
    }
    expect(ended).toEqual(published);
  });
});

describe('a claim for the high priority only', () => {
  test('takes nothing of another', async () => {
    await addPriorities(webhook(1), [3, 5, 5]);
    await addPriorities(webhook(2), [0, 5, 5]);
    const taken = await claimAll(db.pool, { priorities: ['high'] });
    expect(await shares(taken)).toEqual({ high: 3, normal: 0, low: 0 });
  });

  test('leaves an ordered webhook alone whose oldest row is in another', async () => {
    await addWebhook(db.pool, webhook(1), 0, { ordered: true });
    await addRows(db.pool, webhook(1), 1, 'low');
    await addRows(db.pool, webhook(1), 1, 'high');
    expect(await claimAll(db.pool, { priorities: ['high'] })).toEqual([]);
    expect(ids(await claimAll(db.pool))).toEqual((await queueOf(db.pool, webhook(1))).slice(0, 1));
  });
});

test('the cursor of each priority goes round over more webhooks than one claim looks at', async () => {
  for (let n = 1; n <= 25; n++) await addPriorities(webhook(n), [1, 0, n > 13 ? 1 : 0]);
  const claims: Record<Priority, number>[] = [];
  const seen = new Set<string>();
  let cursors = FIRST_CURSORS;
  do {
    const { deliveries, nextCursors } = await claim(db.pool, { scan: 10, cursors });
    claims.push(await shares(deliveries));
    for (const id of ids(deliveries)) seen.add(id);
    cursors = nextCursors;
  } while (!isFirst(cursors));
  expect(claims.slice(0, 3)).toEqual([
    { high: 10, normal: 0, low: 10 },
    { high: 10, normal: 0, low: 2 },
    { high: 5, normal: 0, low: 0 },
  ]);
  expect(seen.size).toBe(37);
});
