import { cancelDelivery, endCancelled, sweepCancelled } from '../../src/db/queue/cancel';
import type { ClaimedDelivery } from '../../src/db/queue/claim-workflow';
import { releaseExpress, unfence } from '../../src/db/queue/leases';
import { type Fence, loadAttempts } from '../../src/db/queue/load-attempt';
import { logLateAttempt } from '../../src/db/queue/log-late-attempt';
import { askForAttempt, moveNextAttempt } from '../../src/db/queue/operator-commands';
import { newUuid } from '../../src/domain/ids';
import { databaseForFile } from '../support/for-tests';
import { addHolder, attemptOf, DELIVERED, FAILED, HOLDER, publishMany, recordAttempts, WAIT } from './support';

/** Who may send an attempt, statement by statement: two workers that live, and one that is dead. */

const OTHER = HOLDER + 1;
const DEAD = HOLDER + 2;

const db = databaseForFile({ poolSize: 4, planner: 'queue' });
beforeAll(async () => {
  for (const id of [HOLDER, OTHER]) await addHolder(db.pool, id);
});

let one: ClaimedDelivery;
beforeEach(async () => {
  await db.pool.query('truncate delivery_queue, deliveries, attempts, webhook_gates');
  [one] = (await publishMany(db.pool, 1)) as [ClaimedDelivery];
});

const set = (change: string) =>
  db.pool.query(`update delivery_queue set ${change} where delivery_id = $1`, [one.deliveryId]);
const load = async (number: number, fence: Fence) =>
  (await loadAttempts(db.pool, [{ deliveryId: one.deliveryId, number, fence }]))[0];
const row = async () =>
  (await db.pool.query('select * from delivery_queue where delivery_id = $1', [one.deliveryId])).rows[0];
const state = async () =>
  (await db.pool.query('select state, attempt_count from deliveries where id = $1', [one.deliveryId])).rows[0];
const ids = async () =>
  (await db.pool.query('select id from attempts where delivery_id = $1 order by number', [one.deliveryId])).rows.map(
    (attempt) => attempt.id,
  );
const numbers = async () =>
  (await db.pool.query('select number from attempts where delivery_id = $1 order by 1', [one.deliveryId])).rows.map(
    (attempt) => attempt.number,
  );

test('the first who loads an attempt has it, as long as they live', async () => {
  expect(await load(1, { holder: HOLDER, cause: 'claimed' })).toMatchObject({ fenced: true });
  expect(await load(1, { holder: OTHER, cause: 'claimed' })).toMatchObject({
    fenced: false,
    queue: { heldBy: 'other' },
  });
  // Not even the same process again, unless it is the very attempt that looks again.
  expect(await load(1, { holder: HOLDER, cause: 'claimed' })).toMatchObject({ fenced: false });
  expect(await load(1, { holder: HOLDER, cause: 'claimed', again: true })).toMatchObject({ fenced: true });
  await set(`holder = ${DEAD}`);
  expect(await load(1, { holder: OTHER, cause: 'claimed' })).toMatchObject({ fenced: true });
});

test.each<[string, string, number, Fence['cause']]>([
  ['counted already', 'attempt = 1', 1, 'claimed'],
  ['not the next one', 'attempt = 0', 2, 'due'],
  ['to be cancelled', 'cancel_asked = true', 1, 'due'],
  ['of the express path', `holder = ${OTHER}, posting = 1, express = true`, 1, 'claimed'],
  ['of the express path of this very process', `holder = ${HOLDER}, posting = 1, express = true`, 1, 'claimed'],
  ['waiting for its timer', `timed = true, next_attempt_at = now() + interval '1 hour'`, 1, 'claimed'],
  ['moved to another time meanwhile', `timed = true, moves = 1, next_attempt_at = now() + interval '1 hour'`, 1, 'due'],
  ['moved by less than a second', `timed = true, moves = 1, next_attempt_at = now() + interval '0.8 s'`, 1, 'due'],
])('nobody gets an attempt that is %s', async (_, change, number, cause) => {
  await set(change);
  expect(await load(number, { holder: HOLDER, cause })).toMatchObject({ fenced: false });
});

test('an attempt that was moved to a time that the workflow knows of is had', async () => {
  await set(`timed = true, moves = 1, next_attempt_at = now() + interval '1 hour'`);
  expect(await load(1, { holder: HOLDER, cause: 'due', moves: 1 })).toMatchObject({ fenced: true });
});

test('of many who load at once, one has it', async () => {
  const holders = await Promise.all(Array.from({ length: 8 }, (_, i) => addHolder(db.pool, DEAD + 1 + i)));
  const loaded = await Promise.all(holders.map((holder) => load(1, { holder, cause: 'claimed' })));
  expect(loaded.filter((facts) => facts?.fenced)).toHaveLength(1);
});

test('who comes to life while a statement waits for the row is not taken for dead', async () => {
  const client = await db.pool.connect();
  try {
    await client.query('begin');
    await client.query('select from delivery_queue where delivery_id = $1 for update', [one.deliveryId]);
    const waiting = load(1, { holder: OTHER, cause: 'claimed' });
    await untilWaiting();
    const { rows } = await db.pool.query('insert into lease_holders default values returning id');
    await client.query('update delivery_queue set holder = $2, posting = 1 where delivery_id = $1', [
      one.deliveryId,
      rows[0].id,
    ]);
    await client.query('commit');
    expect(await waiting).toMatchObject({ fenced: false });
    expect(await row()).toMatchObject({ holder: rows[0].id });
  } finally {
    client.release();
  }
});

async function untilWaiting(): Promise<void> {
  for (;;) {
    const { rows } = await db.pool.query(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    if (rows.length > 0) return;
  }
}

test('who lets go says which attempt: one that was given up on and comes late takes nothing away', async () => {
  await load(1, { holder: HOLDER, cause: 'claimed' });
  await recordAttempts(db.pool, [attemptOf(one, 1, WAIT)]);
  await load(2, { holder: HOLDER, cause: 'due' });
  await unfence(db.kysely, { deliveryId: one.deliveryId, number: 1 }, HOLDER);
  await releaseExpress(db.kysely, [{ deliveryId: one.deliveryId, number: 2 }], HOLDER);
  expect(await row()).toMatchObject({ holder: HOLDER, posting: 2 });
  await unfence(db.kysely, { deliveryId: one.deliveryId, number: 2 }, HOLDER);
  expect(await row()).toMatchObject({ holder: null, posting: null });
});

describe('a cancel', () => {
  test('of what nobody is sending ends it, and nobody gets it any more', async () => {
    expect(await cancelDelivery(db.kysely, one.deliveryId)).toEqual({ state: 'cancelled' });
    expect(await state()).toEqual({ state: 'cancelled', attempt_count: 0 });
    expect(await load(1, { holder: HOLDER, cause: 'claimed' })).toMatchObject({ fenced: false });
    expect(await cancelDelivery(db.kysely, one.deliveryId)).toBeUndefined();
  });

  test.each([
    ['delivered', DELIVERED, 'delivered'],
    ['to be tried again', WAIT, 'cancelled'],
    ['failed for good', FAILED, 'cancelled'],
  ] as const)('of what is being sent is met by an attempt that is %s', async (_, next, end) => {
    await load(1, { holder: HOLDER, cause: 'claimed' });
    expect(await cancelDelivery(db.kysely, one.deliveryId)).toMatchObject({ state: 'asked' });
    expect(await askForAttempt(db.kysely, one.deliveryId, newUuid())).toBe(false);
    expect(await moveNextAttempt(db.kysely, one.deliveryId, new Date())).toBeUndefined();
    await endCancelled(db.kysely, one.deliveryId, 'asked', OTHER);
    expect(await sweepCancelled(db.kysely, 10)).toBe(0);
    expect(await state()).toEqual({ state: 'pending', attempt_count: 0 });
    const { cancelled } = await recordAttempts(db.pool, [attemptOf(one, 1, next)]);
    expect(cancelled.has(one.deliveryId)).toBe(end === 'cancelled');
    expect(await state()).toEqual({ state: end, attempt_count: 1 });
    expect(await row()).toBeUndefined();
  });

  test.each([
    ['died', `holder = ${DEAD}`],
    ['gave it back', 'holder = null, posting = null'],
  ])('of what is being sent by one who %s is met by the sweep', async (_, change) => {
    await load(1, { holder: HOLDER, cause: 'claimed' });
    await cancelDelivery(db.kysely, one.deliveryId);
    await set(change);
    expect(await load(1, { holder: OTHER, cause: 'claimed' })).toMatchObject({ fenced: false });
    expect(await sweepCancelled(db.kysely, 10)).toBe(1);
    expect(await state()).toMatchObject({ state: 'cancelled' });
  });
});

describe('a record', () => {
  test('of one who was taken for dead does not move what another is sending', async () => {
    await load(1, { holder: HOLDER, cause: 'claimed' });
    await set(`holder = ${OTHER}`);
    const { moved, logged } = await recordAttempts(db.pool, [attemptOf(one, 1, WAIT)]);
    expect([moved.size, logged.size]).toEqual([0, 0]);
    expect(await row()).toMatchObject({ holder: OTHER, posting: 1, attempt: 0 });
  });

  test.each([
    ['both were taken', DELIVERED, DELIVERED],
    ['the first was taken', DELIVERED, WAIT],
    ['the second was taken', WAIT, DELIVERED],
    ['neither was taken', WAIT, WAIT],
    ['neither was, the last of the schedule', FAILED, FAILED],
  ])('of one who was taken for dead, and of who sent it again: both stand in the list where %s', async (_, a, b) => {
    await load(1, { holder: HOLDER, cause: 'claimed' });
    await set(`holder = ${OTHER}`);
    const first = attemptOf(one, 1, a);
    await recordAttempts(db.pool, [first]);
    expect(await logLateAttempt(db.kysely, first)).toBe('in_flight');
    const second = { ...attemptOf(one, 1, b), holder: OTHER };
    const { moved, logged } = await recordAttempts(db.pool, [second]);
    expect([moved.size, logged.size]).toEqual([1, 1]);
    expect(await logLateAttempt(db.kysely, first)).toBe(2);
    expect(await ids()).toEqual([second.attemptId, first.attemptId]);
    const delivered = a === DELIVERED || b === DELIVERED;
    expect(await row()).toEqual(delivered || a === FAILED ? undefined : expect.objectContaining({ attempt: 2 }));
    if (delivered) expect(await state()).toEqual({ state: 'delivered', attempt_count: 2 });
  });

  test('of the last attempt leaves what was asked for meanwhile to be made', async () => {
    await load(1, { holder: HOLDER, cause: 'claimed' });
    expect(await askForAttempt(db.kysely, one.deliveryId, newUuid())).toBe(true);
    const { retryRequested } = await recordAttempts(db.pool, [attemptOf(one, 1, FAILED)]);
    expect(retryRequested.has(one.deliveryId)).toBe(true);
    expect(await row()).toMatchObject({ timed: false, trigger: 'manual', attempt: 1, posting: null });
  });
});

describe('an attempt that was made all the same', () => {
  test('under a number that another one has gets the next, and counts', async () => {
    await recordAttempts(db.pool, [attemptOf(one, 1, WAIT)]);
    const late = attemptOf(one, 1, WAIT);
    expect((await recordAttempts(db.pool, [late])).logged.size).toBe(0);
    expect(await logLateAttempt(db.kysely, late)).toBe(2);
    expect(await logLateAttempt(db.kysely, late)).toBe('known');
    expect(await numbers()).toEqual([1, 2]);
    expect(await row()).toMatchObject({ attempt: 2 });
  });

  test('waits for the one that is in flight', async () => {
    await recordAttempts(db.pool, [attemptOf(one, 1, WAIT)]);
    await load(2, { holder: OTHER, cause: 'due' });
    expect(await logLateAttempt(db.kysely, attemptOf(one, 1, WAIT))).toBe('in_flight');
    expect(await numbers()).toEqual([1]);
  });

  test('after the end is in the list, and in the count', async () => {
    await recordAttempts(db.pool, [attemptOf(one, 1, FAILED)]);
    const late = attemptOf(one, 2, WAIT);
    expect((await recordAttempts(db.pool, [late])).logged.size).toBe(1);
    expect(await logLateAttempt(db.kysely, late)).toBe('known');
    expect(await state()).toEqual({ state: 'failed', attempt_count: 2 });
  });

  test('and was taken ends the delivery', async () => {
    await recordAttempts(db.pool, [attemptOf(one, 1, WAIT)]);
    expect(await logLateAttempt(db.kysely, attemptOf(one, 1, DELIVERED))).toBe(2);
    expect(await state()).toEqual({ state: 'delivered', attempt_count: 2 });
    expect(await row()).toBeUndefined();
  });

  test('and had its first record taken is the same one', async () => {
    const record = attemptOf(one, 1, WAIT);
    await recordAttempts(db.pool, [record]);
    expect(await logLateAttempt(db.kysely, record)).toBe('known');
    expect(await numbers()).toEqual([1]);
  });
});
