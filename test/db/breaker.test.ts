import { cancelDelivery } from '../../src/db/queue/cancel';
import { releaseLease } from '../../src/db/queue/leases';
import { askForAttempt } from '../../src/db/queue/operator-commands';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import {
  addWebhook,
  attemptOf,
  attempts,
  claim,
  claimAll,
  DELIVERED,
  fenceAndRequeue,
  gateOf,
  HOLDER,
  queueOf,
  recordAttempts,
  underWay,
  WAIT,
  webhook,
} from './support';

/** More than the machine has cores, so that claims truly overlap in the server. */
const CLAIMERS = 6;
const THRESHOLD = 3;
/** Claimable rows of the webhook under test. */
const ROWS = 5;

const db = databaseForFile({ poolSize: CLAIMERS, planner: 'queue' });

beforeEach(async () => {
  await db.pool.query('truncate delivery_queue, webhook_gates');
  await addWebhook(db.pool, webhook(1), ROWS);
  await setGate(`breaker_threshold = ${THRESHOLD}`);
});

const setGate = (change: string) => db.pool.query(`update webhook_gates set ${change}`);
const gate = () => gateOf(db.pool, webhook(1));
const fail = (count: number) => attempts(db.pool, webhook(1), count, WAIT);
const succeed = () => attempts(db.pool, webhook(1), 1, DELIVERED);
const claimTogether = async () => {
  const claims = await Promise.all(Array.from({ length: CLAIMERS }, () => claim(db.pool)));
  return claims.flatMap(({ deliveries }) => deliveries);
};

describe('a closed breaker', () => {
  test('opens with the last of so many failures in a row, and nothing is claimable then', async () => {
    expect((await fail(THRESHOLD - 1)).gates).toEqual([]);
    expect(await gate()).toMatchObject({ breaker_until: null, failures: THRESHOLD - 1 });
    expect((await fail(1)).gates).toEqual([{ webhookId: webhook(1), disabledBecause: null, breaker: 'opened' }]);
    expect(await gate()).toMatchObject({ breaker_until: expect.any(Date), failures: THRESHOLD, status: 'active' });
    expect(await claimAll(db.pool)).toEqual([]);
  });

  test('opens where they are recorded in one batch', async () => {
    const records = [];
    for (let i = 0; i < THRESHOLD; i++) records.push(attemptOf(await underWay(db.pool, webhook(1)), 1, WAIT));
    await recordAttempts(db.pool, records);
    expect(await gate()).toMatchObject({ breaker_until: expect.any(Date), failures: THRESHOLD });
  });

  test('stays closed where a success lies between', async () => {
    await fail(THRESHOLD - 1);
    await succeed();
    expect(await gate()).toMatchObject({ failures: 0, failures_since: null });
    await fail(THRESHOLD - 1);
    expect(await gate()).toMatchObject({ breaker_until: null });
    expect(await claimAll(db.pool)).toHaveLength(ROWS);
  });

  test('stays closed where the window has passed, and counts from then on anew', async () => {
    await fail(THRESHOLD - 1);
    await setGate(`failures_since = now() - (breaker_window_ms + 1000) * interval '1 ms'`);
    await fail(1);
    expect(await gate()).toMatchObject({ breaker_until: null, failures: 1 });
    await fail(THRESHOLD - 2);
    expect(await gate()).toMatchObject({ breaker_until: null });
    await fail(1);
    expect(await gate()).toMatchObject({ breaker_until: expect.any(Date) });
  });

  test('opens with a failure late in the window', async () => {
    await fail(THRESHOLD - 1);
    await setGate(`failures_since = now() - breaker_window_ms / 2 * interval '1 ms'`);
    await fail(1);
    expect(await gate()).toMatchObject({ breaker_until: expect.any(Date) });
  });

  test('never opens without a threshold', async () => {
    await setGate('breaker_threshold = null');
    await fail(50);
    expect(await gate()).toMatchObject({ breaker_until: null, failures: 50 });
    expect(await claimAll(db.pool)).toHaveLength(ROWS);
  });
});

describe('an open breaker', () => {
  beforeEach(() => fail(THRESHOLD));

  test('stays open for its time, not from the failures on that come late', async () => {
    const { breaker_until } = await gate();
    expect((await fail(THRESHOLD + 1)).gates).toEqual([]);
    expect(await gate()).toMatchObject({ breaker_until, failures: 2 * THRESHOLD + 1 });
  });

  test('is closed by a success that comes late', async () => {
    expect((await succeed()).gates).toMatchObject([{ breaker: 'closed' }]);
    expect(await claimAll(db.pool)).toHaveLength(ROWS);
  });

  test('is open for the time that is set', async () => {
    await setGate('breaker_until = null, failures = 2, failing_since = null, breaker_open_ms = 7000');
    await fail(1);
    // Both are of the statement that opened it.
    const { breaker_until, failing_since } = await gate();
    expect(breaker_until - failing_since).toBe(7_000);
  });
});

describe.each([
  ['', {}],
  [' of an ordered webhook', { ordered: true }],
  [' of a rate-limited webhook', { ratePerSecond: 0.001, burst: 100 }],
])('a half-open breaker%s', (_, settings) => {
  beforeEach(async () => {
    await db.pool.query('truncate delivery_queue, webhook_gates');
    await addWebhook(db.pool, webhook(1), ROWS, settings);
    await setGate(`breaker_threshold = ${THRESHOLD}`);
    await fail(THRESHOLD);
    // Those that failed wait for their retries; an ordered webhook would wait for them.
    await db.pool.query('delete from delivery_queue where timed');
    await setGate(`breaker_until = now() - interval '1 ms'`);
  });

  const probe = async () => {
    const taken = await claimTogether();
    expect(taken).toHaveLength(1);
    return taken[0]!;
  };

  test('lets exactly one probe through, however many claim at once', async () => {
    await probe();
    expect(await claimTogether()).toEqual([]);
  });

  test('is closed by the success of its probe, and everything is claimable', async () => {
    const { gates } = await recordAttempts(db.pool, [attemptOf(await probe(), 1, DELIVERED)]);
    expect(gates).toMatchObject([{ breaker: 'closed' }]);
    expect(await gate()).toMatchObject({ breaker_until: null, failures: 0, slot_delivery_id: null });
    const left = await queueOf(db.pool, webhook(1));
    expect(left).toHaveLength(ROWS - 1);
    const claimed = (await claimAll(db.pool)).map(({ deliveryId }) => deliveryId);
    expect(new Set(claimed)).toEqual(new Set('ordered' in settings ? left.slice(0, 1) : left));
  });

  test('opens anew with the failure of its probe, which is told to no one again', async () => {
    const taken = await probe();
    const { gates } = await recordAttempts(db.pool, [attemptOf(taken, 1, WAIT)]);
    expect(gates).toEqual([]);
    const { rows } = await db.pool.query('select breaker_until > now() as open from webhook_gates');
    expect(rows).toEqual([{ open: true }]);
    expect(await claimTogether()).toEqual([]);
    await setGate(`breaker_until = now() - interval '1 ms'`);
    // The probe's retry is asked for.
    await askForAttempt(db.kysely, taken.deliveryId, newUuid());
    await probe();
  });

  test.each([
    ['released', (id: string) => releaseLease(db.kysely, id, HOLDER)],
    ['requeued', (id: string) => fenceAndRequeue(db, id, 1)],
    ['cancelled', (id: string) => cancelDelivery(db.kysely, id)],
  ])('lets another probe through once the first one is %s', async (_what, giveBack) => {
    const { deliveryId } = await probe();
    expect(await claimTogether()).toEqual([]);
    await giveBack(deliveryId);
    await probe();
  });

  test('lets another probe through once the lease of one whose worker died is over', async () => {
    const { deliveryId } = await probe();
    await setGate(`slot_until = now() - interval '1 ms'`);
    await db.pool.query(`update delivery_queue set lease_until = now() - interval '1 ms' where delivery_id = $1`, [
      deliveryId,
    ]);
    await probe();
  });
});
