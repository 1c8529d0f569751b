import { acquirePermit } from '../../src/db/queue/acquire-permit';
import { PRIORITY_NAMES } from '../../src/domain/priorities';
import { databaseForFile } from '../support/for-tests';
import { addRows, addWebhook, attemptOf, claimAll, DELIVERED, queueOf, recordAttempts, webhook } from './support';

/** More than the machine has cores, so that takers truly overlap in the server. */
const TAKERS = 6;
const LEASE_MS = 60_000;

const db = databaseForFile({ poolSize: TAKERS, planner: 'queue' });

beforeEach(() => db.pool.query('truncate delivery_queue, webhook_gates'));

const take = (deliveryId: string, leaseMs = LEASE_MS) => acquirePermit(db.kysely, deliveryId, webhook(1), leaseMs);
const takeTogether = async (deliveryId: string) =>
  (await Promise.all(Array.from({ length: TAKERS }, () => take(deliveryId)))).filter((taken) => taken).length;
const setTimed = (deliveryId: string) =>
  db.pool.query('update delivery_queue set timed = true, next_attempt_at = now() where delivery_id = $1', [deliveryId]);

describe('the permit of an ordered webhook', () => {
  let published: string[];
  beforeEach(async () => {
    await addWebhook(db.pool, webhook(1), 3, { ordered: true });
    published = await queueOf(db.pool, webhook(1));
  });

  test('is the oldest delivery’s while it is free, and of no other', async () => {
    expect(await take(published[1]!)).toBe(false);
    expect(await take(published[0]!)).toBe(true);
    expect(await claimAll(db.pool)).toEqual([]);
  });

  test('is kept by its holder for as often as it asks, and by no other', async () => {
    await take(published[0]!);
    expect(await take(published[0]!)).toBe(true);
    expect(await take(published[1]!)).toBe(false);
  });

  test('stays with the head that was claimed and waits for its retry', async () => {
    const [head] = await claimAll(db.pool);
    await recordAttempts(db.pool, [attemptOf(head!, 1, { kind: 'wait', waitMs: 0 })]);
    expect(await take(published[1]!)).toBe(false);
    expect(await take(head!.deliveryId)).toBe(true);
    await recordAttempts(db.pool, [attemptOf(head!, 2, DELIVERED)]);
    expect(await take(published[1]!)).toBe(true);
  });

  test('is free again once the time of its holder is over, for the oldest only', async () => {
    await take(published[0]!);
    await db.pool.query(`update webhook_gates set slot_until = now() - interval '1 s'`);
    expect(await take(published[1]!)).toBe(false);
    await db.pool.query('delete from delivery_queue where delivery_id = $1', [published[0]]);
    expect(await take(published[1]!)).toBe(true);
  });

  test('is not given away while an older delivery waits for its time', async () => {
    await setTimed(published[0]!);
    expect(await take(published[1]!)).toBe(false);
    await setTimed(published[1]!);
    expect(await take(published[1]!)).toBe(false);
    expect(await take(published[0]!)).toBe(true);
  });

  test('goes to one of two that ask for it at once', async () => {
    await db.pool.query('delete from delivery_queue where delivery_id = $1', [published[2]]);
    const asked = Array.from({ length: TAKERS }, (_, i) => take(published[i % 2]!));
    const taken = (await Promise.all(asked)).map((got, i) => got && published[i % 2]).filter(Boolean);
    expect(new Set(taken)).toEqual(new Set([published[0]]));
  });
});

test.each(PRIORITY_NAMES)(
  'an older delivery in the %s priority keeps the turn of an ordered webhook',
  async (priority) => {
    await addWebhook(db.pool, webhook(1), 0, { ordered: true });
    await addRows(db.pool, webhook(1), 1, priority);
    await addRows(db.pool, webhook(1), 1, 'high');
    const [older, younger] = await queueOf(db.pool, webhook(1));
    expect(await take(younger!)).toBe(false);
    expect(await take(older!)).toBe(true);
  },
);

test('an older delivery of another webhook keeps no turn', async () => {
  await addWebhook(db.pool, webhook(2), 3, { ordered: true });
  await addWebhook(db.pool, webhook(1), 1, { ordered: true });
  expect(await take((await queueOf(db.pool, webhook(1)))[0]!)).toBe(true);
});

describe('the tokens of a rate-limited webhook', () => {
  /** None comes back while a test runs. */
  const SELDOM = 0.001;

  test('are no more than there are, however many ask at once', async () => {
    await addWebhook(db.pool, webhook(1), 1, { ratePerSecond: SELDOM, burst: 4 });
    const [any] = await queueOf(db.pool, webhook(1));
    expect(await takeTogether(any!)).toBe(4);
    expect(await take(any!)).toBe(false);
  });

  test('are shared with the claim', async () => {
    await addWebhook(db.pool, webhook(1), 20, { ratePerSecond: SELDOM, burst: 5 });
    const last = (await queueOf(db.pool, webhook(1))).at(-1)!;
    expect(await take(last)).toBe(true);
    expect(await take(last)).toBe(true);
    expect(await claimAll(db.pool)).toHaveLength(3);
    expect(await take(last)).toBe(false);
  });

  test('come back with time', async () => {
    await addWebhook(db.pool, webhook(1), 20, { ratePerSecond: SELDOM, burst: 5 });
    expect(await claimAll(db.pool)).toHaveLength(5);
    const [any] = await queueOf(db.pool, webhook(1));
    expect(await take(any!)).toBe(false);
    await db.pool.query(
      `update webhook_gates set rate_next_at = rate_next_at - 2.5 * interval '1 s' / rate_per_second`,
    );
    expect(await takeTogether(any!)).toBe(2);
  });

  test('are taken in turn where the webhook is ordered as well: both or neither', async () => {
    await addWebhook(db.pool, webhook(1), 2, { ratePerSecond: SELDOM, burst: 1, ordered: true });
    const [older, younger] = await queueOf(db.pool, webhook(1));
    expect(await take(younger!)).toBe(false);
    expect(await take(older!)).toBe(true);
    expect(await take(older!)).toBe(false);
  });
});

test('a webhook without limits has a turn for everyone', async () => {
  await addWebhook(db.pool, webhook(1), 2);
  const [older, younger] = await queueOf(db.pool, webhook(1));
  expect([await take(younger!), await take(older!)]).toEqual([true, true]);
});
