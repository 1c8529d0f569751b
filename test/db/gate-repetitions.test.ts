import type { ClaimedDelivery } from '../../src/db/queue/claim-workflow';
import type { AttemptNext, AttemptRecord } from '../../src/db/queue/record-attempts';
import { renewGate } from '../../src/db/store/gates';
import type { Trigger } from '../../src/domain/delivery';
import { databaseForFile } from '../support/for-tests';
import { addWebhook, attemptOf, DELIVERED, FAILED, gateOf, recordAttempts, underWay, WAIT, webhook } from './support';

const db = databaseForFile({ poolSize: 2, planner: 'queue' });
const KEPT: AttemptNext = { kind: 'keep_waiting' };

beforeEach(async () => {
  await db.pool.query('truncate delivery_queue, webhook_gates');
  await addWebhook(db.pool, webhook(1), 0);
  await setGate('breaker_threshold = 3, disable_after_failed = 3');
});

const setGate = (change: string) => db.pool.query(`update webhook_gates set ${change}`);
const gate = () => gateOf(db.pool, webhook(1));
const newDelivery = () => underWay(db.pool, webhook(1));

/** The next attempt of a delivery, by hand unless something else is said. */
async function attempt(delivery: ClaimedDelivery, next: AttemptNext, more: Partial<AttemptRecord> = {}) {
  const { rows } = await db.pool.query('select attempt from delivery_queue where delivery_id = $1', [
    delivery.deliveryId,
  ]);
  const record = attemptOf(delivery, rows[0].attempt + 1, next);
  return recordAttempts(db.pool, [{ ...record, trigger: 'manual', ...more }]);
}

/** Ends the delivery, and puts it into the queue again as a reopening does. */
async function failAndReopen(delivery: ClaimedDelivery, trigger: Trigger) {
  await attempt(delivery, FAILED, { trigger });
  await db.pool.query(
    `insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, attempt, failed_at, attempt_failed_at)
     values ($1, $2, $1, $3, 'order.created', 9, now(), now())`,
    [delivery.deliveryId, delivery.tenantId, delivery.webhookId],
  );
}

const schedule = { trigger: 'schedule' } as const;

describe('failures in a row', () => {
  test('count a delivery that is repeated by hand once', async () => {
    const delivery = await newDelivery();
    await attempt(delivery, WAIT, schedule);
    for (let i = 0; i < 5; i++) await attempt(delivery, KEPT);
    expect(await gate()).toMatchObject({ failures: 1, breaker_until: null });
  });

  test('count it once among others, and the others', async () => {
    const [one, other] = [await newDelivery(), await newDelivery()];
    await attempt(one, WAIT, schedule);
    await attempt(other, WAIT, schedule);
    for (const again of [one, other, one, other]) await attempt(again, KEPT);
    expect(await gate()).toMatchObject({ failures: 2, breaker_until: null });
    await attempt(await newDelivery(), WAIT, schedule);
    expect(await gate()).toMatchObject({ failures: 3, breaker_until: expect.any(Date) });
  });

  test('count scheduled attempts of one delivery each', async () => {
    const delivery = await newDelivery();
    for (let i = 0; i < 3; i++) await attempt(delivery, WAIT, schedule);
    expect(await gate()).toMatchObject({ failures: 3, breaker_until: expect.any(Date) });
  });

  test('count a first attempt that was asked for by hand, and one of a delivery that has not failed since they began', async () => {
    const old = await newDelivery();
    await attempt(old, WAIT, schedule);
    await setGate('failures = 0, failures_since = null');
    for (let i = 0; i < 2; i++) await attempt(await newDelivery(), WAIT);
    await attempt(old, KEPT);
    expect(await gate()).toMatchObject({ failures: 3, breaker_until: expect.any(Date) });
  });

  test('count it once more when the window of the breaker is over', async () => {
    const delivery = await newDelivery();
    await attempt(delivery, WAIT, schedule);
    await attempt(await newDelivery(), WAIT, schedule);
    await setGate(`failures_since = failures_since - interval '2 minutes'`);
    for (let i = 0; i < 3; i++) await attempt(delivery, KEPT);
    expect(await gate()).toMatchObject({ failures: 1, breaker_until: null });
  });

  test('count each delivery of a bulk replay', async () => {
    for (let i = 0; i < 3; i++) {
      const delivery = await newDelivery();
      await db.pool.query(
        `update delivery_queue set attempt_failed_at = now() - interval '1 h', failed_at = attempt_failed_at`,
      );
      await attempt(delivery, WAIT, { trigger: 'replay' });
    }
    expect(await gate()).toMatchObject({ failures: 3, breaker_until: expect.any(Date) });
  });
});

test.each<Trigger>(['manual', 'replay'])(
  'a delivery that fails for good again and again by %s is one of those in a row',
  async (trigger) => {
    const delivery = await newDelivery();
    for (let i = 0; i < 5; i++) await failAndReopen(delivery, i === 0 ? 'schedule' : trigger);
    expect(await gate()).toMatchObject({ status: 'active', failed_in_a_row: 1 });
    for (let i = 0; i < 2; i++) await attempt(await newDelivery(), FAILED, schedule);
    expect(await gate()).toMatchObject({ status: 'disabled', status_reason: 'failed_deliveries', failed_in_a_row: 3 });
  },
);

test('a delivery that failed for good before the last success counts again', async () => {
  const delivery = await newDelivery();
  await failAndReopen(delivery, 'schedule');
  await attempt(await newDelivery(), DELIVERED, {
    ...schedule,
    healthSignal: { health: 'good', timedOut: false, gone: false },
  });
  expect(await gate()).toMatchObject({ failed_in_a_row: 0, failed_since: null });
  await attempt(await newDelivery(), FAILED, schedule);
  await attempt(delivery, FAILED);
  expect(await gate()).toMatchObject({ failed_in_a_row: 2, failed_since: expect.any(Date) });
});

test('repetitions by hand alone never fail for too long', async () => {
  const delivery = await newDelivery();
  await attempt(delivery, WAIT, schedule);
  await setGate(`failing_since = now() - disable_after_ms * interval '1 ms' - interval '1 h'`);
  await attempt(delivery, KEPT);
  expect(await gate()).toMatchObject({ status: 'active' });
  await attempt(delivery, WAIT, schedule);
  expect(await gate()).toMatchObject({ status: 'disabled', status_reason: 'failing_too_long' });
});

test('a repetition by hand that is the probe opens the breaker anew, and one that succeeds closes it', async () => {
  const delivery = await newDelivery();
  await attempt(delivery, WAIT, schedule);
  await setGate(`failures = 3, breaker_until = now() - interval '1 s'`);
  expect((await attempt(delivery, KEPT)).gates).toEqual([]);
  expect((await gate()).breaker_until.getTime()).toBeGreaterThan(Date.now());
  await attempt(delivery, DELIVERED, { healthSignal: { health: 'good', timedOut: false, gone: false } });
  expect(await gate()).toMatchObject({ breaker_until: null, failures: 0 });
});

describe('an attempt that went to a URL which the webhook has no more', () => {
  const renew = () => db.kysely.transaction().execute((tx) => renewGate(tx, webhook(1)));

  test.each<[string, AttemptNext, Partial<AttemptRecord['healthSignal']>]>([
    ['fails', WAIT, {}],
    ['fails for good', FAILED, {}],
    ['is gone', FAILED, { gone: true }],
    ['times out', WAIT, { timedOut: true }],
    ['asks for a pause', WAIT, { health: 'busy', slowDown: { retryAfterMs: 60_000 } }],
    ['succeeds', DELIVERED, { health: 'good' }],
  ])('and %s leaves the gate as it is', async (_, next, signal) => {
    const delivery = await newDelivery();
    await renew();
    await attempt(await newDelivery(), WAIT, { ...schedule, urlChanges: 1 });
    const before = await gate();
    expect(before).toMatchObject({ failures: 1, url_changes: 1 });
    const healthSignal = { health: 'bad', timedOut: false, gone: false, ...signal } as const;
    await attempt(delivery, next, { ...schedule, urlChanges: 0, healthSignal });
    expect(await gate()).toEqual(before);
  });

  test('does not count beside one to the URL that it has', async () => {
    const deliveries = [await newDelivery(), await newDelivery(), await newDelivery()];
    await renew();
    const records = deliveries.map((delivery, i) => ({ ...attemptOf(delivery, 1, WAIT), urlChanges: i === 1 ? 1 : 0 }));
    await recordAttempts(db.pool, records);
    expect(await gate()).toMatchObject({ failures: 1 });
  });

  test('releases its slot', async () => {
    const delivery = await newDelivery();
    await renew();
    await setGate(
      `ordered = true, slot_delivery_id = '${delivery.deliveryId}', slot_until = now() + interval '1 minute'`,
    );
    await attempt(delivery, FAILED, { ...schedule, urlChanges: 0 });
    expect(await gate()).toMatchObject({ slot_delivery_id: null, failures: 0, failed_in_a_row: 0 });
  });
});

test('another URL releases the slot of a probe, and leaves that of the head of an ordered webhook', async () => {
  const { deliveryId } = await newDelivery();
  for (const ordered of [false, true]) {
    await setGate(`ordered = ${ordered}, slot_delivery_id = '${deliveryId}', slot_until = 'infinity'`);
    await db.kysely.transaction().execute((tx) => renewGate(tx, webhook(1)));
    expect(await gate()).toMatchObject({ slot_delivery_id: ordered ? deliveryId : null });
  }
});
