import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import { FIRST_CURSORS } from '../../src/db/queue/claim-cursors';
import { PRIORITY_NAMES, type Priority, priorityOrder } from '../../src/domain/priorities';
import { databaseForFile } from '../support/for-tests';
import {
  addRows,
  addWebhook,
  claim,
  claimAll,
  claimTurn,
  type Gate,
  queueOf,
  ROOM,
  rowsRead,
  tenant,
  webhook,
} from './support';

// One connection: it counts what it reads.
const db = databaseForFile({ poolSize: 1, planner: 'queue' });

beforeEach(() => db.pool.query('truncate delivery_queue, webhook_gates'));

/** So many webhooks of a tenant, from the nth on, each with so many rows. */
async function addWebhooks(
  of: number,
  {
    from,
    count,
    rows = 1,
    priority = 'normal',
    gate = {},
  }: { from: number; count: number; rows?: number; priority?: Priority; gate?: Gate },
): Promise<void> {
  for (let n = from; n < from + count; n++) {
    await addWebhook(db.pool, webhook(n), 0, gate);
    await addRows(db.pool, webhook(n), rows, priority, tenant(of));
  }
}

/** As many as would take minutes one by one: active, paused or whatever their gate says, one row each. */
async function addThousands(of: number, from: number, count: number, gate = `'active'`): Promise<void> {
  await db.pool.query(
    `with w as (select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid id from generate_series($1::int, $2) n),
     g as (insert into webhook_gates (webhook_id, status, max_in_flight) select id, ${gate}, 1000 from w)
     insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type)
     select gen_random_uuid(), $3, id, id, 'order.created' from w`,
    [from, from + count - 1, tenant(of)],
  );
}

/** How many each tenant got. */
function byTenant(claimed: { tenantId: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { tenantId } of claimed)
    counts[Number(tenantId.slice(-12))] = (counts[Number(tenantId.slice(-12))] ?? 0) + 1;
  return counts;
}

describe('more work than capacity', () => {
  test.each([
    ['one of 10,000 webhooks and one of a single row', { 1: 10_000, 2: 1 }, 50, { 1: 49, 2: 1 }],
    ['two that have enough', { 1: 100, 2: 100 }, 50, { 1: 25, 2: 25 }],
    ['one that wants little, two that have enough', { 1: 100, 2: 3, 3: 100 }, 30, undefined],
    ['fewer places than tenants', { 1: 10, 2: 10, 3: 10, 4: 10 }, 2, { 1: 1, 2: 1 }],
  ] as const)('%s', async (_, webhooks, limit, expected) => {
    let from = 1;
    for (const [of, count] of Object.entries(webhooks)) {
      await addThousands(Number(of), from, count);
      from += count;
    }
    const { deliveries, full } = await claim(db.pool, { limit });
    const got = byTenant(deliveries);
    expect(deliveries).toHaveLength(limit);
    expect(full).toBe(true);
    if (expected) expect(got).toEqual(expected);
    // Nobody has less than an equal part, unless they wanted less.
    for (const [of, count] of Object.entries(webhooks)) {
      if (limit >= Object.keys(webhooks).length) {
        expect(got[of]).toBeGreaterThanOrEqual(Math.min(count, Math.floor(limit / Object.keys(webhooks).length)));
      }
    }
  });

  test('50 tenants, some of them with a hundred times as much: all are served in each round of claims', async () => {
    for (let of = 1; of <= 50; of++) await addWebhooks(of, { from: of * 10, count: 1, rows: of % 10 === 0 ? 500 : 5 });
    let cursors = FIRST_CURSORS;
    const rounds: Record<string, number>[] = [];
    for (let round = 0; round < 5; round++) {
      const taken = [];
      for (let n = 0; n < 5; n++) {
        const answer = await claim(db.pool, { limit: 10, cursors });
        taken.push(...answer.deliveries);
        cursors = answer.nextCursors;
      }
      rounds.push(byTenant(taken));
    }
    for (const round of rounds) expect(Object.values(round)).toEqual(Array(50).fill(1));
    // Those who want more get all that is left.
    const rest = byTenant(await claimAll(db.pool));
    expect(Object.keys(rest)).toHaveLength(5);
    expect(Object.values(rest)).toEqual(Array(5).fill(495));
  });

  test('webhooks of a tenant take their turns however little capacity it gets', async () => {
    await addWebhooks(1, { from: 1, count: 30, rows: 10 });
    await addWebhooks(2, { from: 100, count: 1, rows: 300 });
    const seen = new Set<string>();
    let cursors = FIRST_CURSORS;
    for (let n = 0; n < 30; n++) {
      const { deliveries, nextCursors } = await claim(db.pool, { limit: 2, cursors, perWebhook: 10 });
      expect(byTenant(deliveries)).toEqual({ 1: 1, 2: 1 });
      for (const { webhookId } of deliveries) seen.add(webhookId);
      cursors = nextCursors;
    }
    expect(seen.size).toBe(31);
  });

  test('the priority whose turn it is goes first, for a tenant and between tenants', async () => {
    for (const [i, priority] of PRIORITY_NAMES.entries()) {
      await addWebhooks(1, { from: 1 + i, count: 1, rows: 50, priority });
      await addWebhooks(2, { from: 11 + i, count: 1, rows: priority === 'high' ? 0 : 50, priority });
    }
    const prioritiesOf = async (limit: number, priorities: readonly Priority[]) => {
      const { deliveries } = await claim(db.pool, { limit, priorities });
      const { rows } = await db.pool.query<{ priority: number; tenant_id: string; n: number }>(
        `select priority, tenant_id, count(*)::int n from delivery_queue where delivery_id = any($1) group by 1, 2 order by 2, 1`,
        [deliveries.map(({ deliveryId }) => deliveryId)],
      );
      return rows.map(({ priority, tenant_id, n }) => [Number(tenant_id.slice(-1)), PRIORITY_NAMES[priority], n]);
    };
    expect(await prioritiesOf(10, ['high', 'normal', 'low'])).toEqual([
      [1, 'high', 5],
      [2, 'normal', 5],
    ]);
    expect(await prioritiesOf(10, ['low', 'high', 'normal'])).toEqual([
      [1, 'low', 5],
      [2, 'low', 5],
    ]);
    // One place: whose priority it is.
    expect(await prioritiesOf(1, ['high', 'normal', 'low'])).toEqual([[1, 'high', 1]]);
  });

  test('a flood in high does not keep another tenant’s low waiting for its turn', async () => {
    await addWebhooks(1, { from: 1, count: 1, rows: 500, priority: 'high' });
    await addWebhooks(2, { from: 2, count: 1, rows: 1, priority: 'low' });
    const { deliveries } = await claim(db.pool, { limit: 10, priorities: priorityOrder(0, PRIORITY_NAMES) });
    expect(byTenant(deliveries)).toEqual({ 1: 9, 2: 1 });
  });
});

describe('webhooks that have work and get none of it done', () => {
  const shut = [
    ['paused', `'paused'`],
    ['blocked', `'active'`],
  ] as const;
  test.each(shut)('10,000 that are %s are in nobody else’s way, from the first claim on', async (name, status) => {
    await addThousands(1, 1, 10_000, status);
    if (name === 'blocked') await db.pool.query(`update webhook_gates set blocked_until = now() + interval '1 h'`);
    // The last one of all ids, so that nothing is by chance.
    await addThousands(2, 20_000, 1);
    const { deliveries, through } = await claim(db.pool);
    expect(byTenant(deliveries)).toEqual({ 2: 1 });
    expect(through).toEqual(['high', 'low']);
    // Later rows as well, wherever the turn through the others has come to.
    let cursors = FIRST_CURSORS;
    for (let n = 0; n < 20; n++) {
      await addRows(db.pool, webhook(20_000), 1, 'normal', tenant(2));
      const answer = await claim(db.pool, { cursors });
      expect(byTenant(answer.deliveries)).toEqual({ 2: 1 });
      cursors = answer.nextCursors;
    }
  });

  test('a turn goes through all webhooks of all tenants, and comes to its end', async () => {
    await addThousands(1, 1, 3_000, `'paused'`);
    await addThousands(2, 5_000, 1_000, `'paused'`);
    await addThousands(3, 7_000, 1);
    await db.pool.query(`update webhook_gates set status = 'active' where webhook_id = any($1)`, [
      [webhook(3_000), webhook(5_999)],
    ]);
    expect(byTenant(await claimTurn(db.pool))).toEqual({ 1: 1, 2: 1, 3: 1 });
  });

  test('a tenant at the caps of its webhooks leaves the capacity to others', async () => {
    await addWebhooks(1, { from: 1, count: 20, rows: 100 });
    await addWebhooks(2, { from: 50, count: 1, rows: 100 });
    const held = new Map(Array.from({ length: 20 }, (_, i) => [webhook(1 + i), 20]));
    const { deliveries } = await claim(db.pool, {
      limit: 30,
      perWebhook: 20,
      budget: { ...EMPTY_BUDGET, occupied: new Map([...held, [webhook(50), 0]]) },
    });
    expect(byTenant(deliveries)).toEqual({ 2: 20 });
  });
});

test('more tenants than a claim looks at: a pass goes round all of them, with capacity left and without', async () => {
  for (let of = 1; of <= 25; of++) await addWebhooks(of, { from: of * 10, count: 2, rows: 3 });
  const turn = await claimTurn(db.pool, { scan: 10, limit: 1_000, perWebhook: 1 });
  expect(Object.keys(byTenant(turn))).toHaveLength(25);
  const seen: string[] = [];
  let cursors = FIRST_CURSORS;
  for (let n = 0; n < 25; n++) {
    const { deliveries, nextCursors } = await claim(db.pool, { scan: 10, limit: 1, cursors });
    seen.push(...Object.keys(byTenant(deliveries)));
    cursors = nextCursors;
  }
  expect(new Set(seen).size).toBe(25);
});

describe('slots that are held', () => {
  const held = (...counts: number[]) => new Map(counts.map((count, i) => [tenant(1 + i), count]));
  const addAll = async (count: number) => {
    for (let of = 1; of <= count; of++) await addWebhooks(of, { from: of * 10, count: 1, rows: 500 });
  };

  test('a tenant alone gets all that is free, however much it holds', async () => {
    await addAll(1);
    const { deliveries, full } = await claim(db.pool, {
      limit: 100,
      allowance: { free: 60, level: 5, held: held(1_000) },
    });
    expect(deliveries).toHaveLength(60);
    expect(full).toBe(true);
  });

  test('where nothing is free, only those below the level get any, and up to it', async () => {
    await addAll(3);
    const { deliveries } = await claim(db.pool, {
      limit: 100,
      allowance: { free: 0, level: 20, held: held(1_000, 15) },
    });
    expect(byTenant(deliveries)).toEqual({ 2: 5, 3: 20 });
  });

  test('where nothing is free for anyone, a claim is not full: another would find the same', async () => {
    await addAll(2);
    const answer = await claim(db.pool, { limit: 100, allowance: { free: 0, level: 20, held: held(1_000, 20) } });
    expect(answer).toMatchObject({ deliveries: [], full: false, cut: true, through: PRIORITY_NAMES });
  });

  test('what is free goes to whoever holds least', async () => {
    await addAll(3);
    const { deliveries } = await claim(db.pool, {
      limit: 30,
      allowance: { free: 30, level: 0, held: held(500, 20, 400) },
    });
    expect(byTenant(deliveries)).toEqual({ 2: 30 });
  });

  test('whoever wants less leaves it to the others in the same claim', async () => {
    await addWebhooks(1, { from: 1, count: 5, rows: 100 });
    for (let of = 2; of <= 20; of++) await addWebhooks(of, { from: of * 10, count: 1, rows: 1 });
    // All of these are under way, and nothing else of them waits.
    await claimAll(db.pool, {
      limit: 19,
      perWebhook: 1,
      allowance: { free: 0, level: 1, held: new Map([[tenant(1), 5]]) },
    });
    const { deliveries } = await claim(db.pool, { limit: 100 });
    expect(byTenant(deliveries)).toEqual({ 1: 100 });
  });

  test('ordered and rate-limited webhooks keep to their own rules beside others', async () => {
    await addWebhooks(1, { from: 1, count: 1, rows: 300 });
    await addWebhooks(2, { from: 20, count: 1, rows: 50, gate: { ordered: true } });
    await addWebhooks(3, { from: 30, count: 1, rows: 50, gate: { ratePerSecond: 0.001, burst: 4 } });
    await addWebhooks(2, { from: 21, count: 1, rows: 50, gate: { ordered: true } });
    const heads = [(await queueOf(db.pool, webhook(20)))[0], (await queueOf(db.pool, webhook(21)))[0]];
    const { deliveries } = await claim(db.pool, { limit: 100 });
    expect(byTenant(deliveries)).toEqual({ 1: 94, 2: 2, 3: 4 });
    expect(
      deliveries
        .filter(({ tenantId }) => tenantId === tenant(2))
        .map(({ deliveryId }) => deliveryId)
        .sort(),
    ).toEqual([...heads].sort());
    expect(byTenant((await claim(db.pool, { limit: 100 })).deliveries)).toEqual({ 1: 100 });
  });
});

test.each([1, 50])(
  'a claim reads no more rows than it takes need, beside long queues of %d tenants',
  async (tenants) => {
    for (let of = 1; of <= tenants; of++) await addWebhooks(of, { from: of * 10, count: 1, rows: 5_000 / tenants });
    await claim(db.pool, { limit: 50, allowance: ROOM });
    const before = await rowsRead(db.pool, 'delivery_queue');
    await claim(db.pool, { limit: 50, allowance: ROOM });
    expect((await rowsRead(db.pool, 'delivery_queue')) - before).toBeLessThan(10 * 50);
  },
);
