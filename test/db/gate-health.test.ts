import { EMPTY_BUDGET } from '../../src/db/queue/claim-budget';
import type { AttemptRecord } from '../../src/db/queue/record-attempts';
import { databaseForFile } from '../support/for-tests';
import {
  addRows,
  addWebhook,
  attemptOf,
  attempts,
  claim,
  claimAll,
  DELIVERED,
  FAILED,
  gateOf,
  recordAttempts,
  underWay,
  WAIT,
  webhook,
} from './support';

/** More than the machine has cores, so that recorders truly overlap in the server. */
const RECORDERS = 8;
const HOUR_MS = 3_600_000;

const db = databaseForFile({ poolSize: RECORDERS, planner: 'queue' });

beforeEach(async () => {
  await db.pool.query('truncate delivery_queue, webhook_gates');
  await addWebhook(db.pool, webhook(1), 30);
  await setGate('breaker_threshold = null, disable_after_failed = null');
});

const setGate = (change: string) => db.pool.query(`update webhook_gates set ${change}`);
const gate = () => gateOf(db.pool, webhook(1));
const fail = (count = 1) => attempts(db.pool, webhook(1), count, WAIT);
const succeed = () => attempts(db.pool, webhook(1), 1, DELIVERED);

describe('throttling', () => {
  const slowDown = (retryAfterMs?: number) => attempts(db.pool, webhook(1), 1, WAIT, { slowDown: { retryAfterMs } });

  /** For how long a first 429 with this Retry-After holds the webhook up: both times are of the statement that did. */
  async function heldUpMs(retryAfterMs?: number): Promise<number> {
    await setGate(`failing_since = null, blocked_until = 'epoch'`);
    await slowDown(retryAfterMs);
    const { blocked_until, failing_since } = await gate();
    return blocked_until - failing_since;
  }

  test('without Retry-After doubles with the failures in a row, up to about a minute', async () => {
    const seconds: number[] = [];
    for (let i = 0; i < 9; i++) seconds.push((await heldUpMs()) / 1_000);
    expect(seconds).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64]);
  });

  test('counts failures that asked for nothing as well, and begins anew after a success', async () => {
    await fail(3);
    expect(await heldUpMs()).toBe(8_000);
    await succeed();
    expect(await heldUpMs()).toBe(1_000);
  });

  test('takes Retry-After as it is, up to an hour', async () => {
    expect(await heldUpMs(90_000)).toBe(90_000);
    expect(await heldUpMs(HOUR_MS)).toBe(HOUR_MS);
    expect(await heldUpMs(HOUR_MS + 1)).toBe(HOUR_MS);
    expect(await heldUpMs(24 * HOUR_MS)).toBe(HOUR_MS);
  });

  test('takes the longest Retry-After of a batch', async () => {
    await setGate(`failing_since = null, blocked_until = 'epoch'`);
    const records: AttemptRecord[] = [];
    for (const retryAfterMs of [5_000, 60_000, undefined]) {
      const attempt = attemptOf(await underWay(db.pool, webhook(1)), 1, WAIT);
      records.push({ ...attempt, healthSignal: { ...attempt.healthSignal, slowDown: { retryAfterMs } } });
    }
    await recordAttempts(db.pool, records);
    const { blocked_until, failing_since } = await gate();
    expect(blocked_until - failing_since).toBe(60_000);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['a shorter Retry-After', () => slowDown(10_000)],
    ['one without', () => slowDown()],
    ['a failure of another kind', () => fail()],
    ['a success', () => succeed()],
  ])('is not shortened by %s', async (_, later) => {
    await slowDown(HOUR_MS / 2);
    const { blocked_until } = await gate();
    await later();
    expect(await gate()).toMatchObject({ blocked_until });
    expect(await claimAll(db.pool)).toEqual([]);
  });

  test('does not happen by a failure that did not ask for it', async () => {
    const { blocked_until } = await gate();
    await fail(5);
    expect(await gate()).toMatchObject({ blocked_until });
    expect(await claimAll(db.pool)).not.toEqual([]);
  });
});

describe('the adaptive cap', () => {
  const timeOut = () => attempts(db.pool, webhook(1), 1, WAIT, { timedOut: true });
  async function capsAfter(work: () => Promise<unknown>, times: number): Promise<(number | null)[]> {
    const caps: (number | null)[] = [];
    for (let i = 0; i < times; i++) {
      await work();
      caps.push((await gate()).adaptive_cap);
    }
    return caps;
  }

  test('is halved by each timeout, down to one', async () => {
    await setGate('max_in_flight = 9');
    expect(await capsAfter(timeOut, 5)).toEqual([4, 2, 1, 1, 1]);
  });

  describe.each([
    [5, [2, 1, 1]],
    [20, [10, 5, 2, 1]],
    [100, [50, 25, 12, 6, 3, 1]],
  ])('with a worker that makes %i attempts of one webhook at once', (perWebhook, falling) => {
    const timeOutThere = () => attempts(db.pool, webhook(1), 1, WAIT, { timedOut: true, perWebhook });
    const succeedThere = () => attempts(db.pool, webhook(1), 1, DELIVERED, { perWebhook });
    const claimed = async () => (await claim(db.pool, { perWebhook, limit: 1_000 })).deliveries.length;

    // What a webhook may ask for beyond the worker's cap changes nothing.
    test.each([null, 1_000])('falls from there if the webhook asks for %p', async (maxInFlight) => {
      await setGate(`max_in_flight = ${maxInFlight}`);
      expect(await capsAfter(timeOutThere, falling.length)).toEqual(falling);
    });

    test('climbs back to there, one by one', async () => {
      await setGate('max_in_flight = null');
      await timeOutThere();
      const climbing = Array.from({ length: perWebhook - falling[0]! - 1 }, (_, i) => falling[0]! + i + 1);
      expect(await capsAfter(succeedThere, climbing.length + 1)).toEqual([...climbing, null]);
    });

    test('has the first timeout halve what a claim takes', async () => {
      await setGate('max_in_flight = null');
      await addRows(db.pool, webhook(1), 100);
      await timeOutThere();
      expect(await claimed()).toBe(falling[0]);
    });

    test('falls from a lower cap of the webhook', async () => {
      await setGate('max_in_flight = 3');
      expect(await capsAfter(timeOutThere, 2)).toEqual([1, 1]);
    });
  });

  test('comes back one by one with successes, and is gone at the top', async () => {
    await setGate('max_in_flight = 5');
    expect(await capsAfter(timeOut, 3)).toEqual([2, 1, 1]);
    expect(await capsAfter(succeed, 5)).toEqual([2, 3, 4, null, null]);
  });

  test('is left as it is by a failure that was no timeout', async () => {
    await setGate('max_in_flight = 8');
    await timeOut();
    await fail(3);
    expect(await gate()).toMatchObject({ adaptive_cap: 4 });
  });

  test('is one for a webhook whose own cap is one, and gone with the first success', async () => {
    await setGate('max_in_flight = 1');
    expect(await capsAfter(timeOut, 2)).toEqual([1, 1]);
    expect(await capsAfter(succeed, 1)).toEqual([null]);
  });

  test('is what a claim gives at most, and what is held counts', async () => {
    await setGate('max_in_flight = 12');
    await timeOut();
    const { deliveries } = await claim(db.pool, {
      budget: { ...EMPTY_BUDGET, occupied: new Map([[webhook(1), 2]]) },
    });
    expect(deliveries).toHaveLength(4);
  });
});

describe('a webhook is disabled', () => {
  const failForGood = (count: number) => attempts(db.pool, webhook(1), count, FAILED);
  const gone = () =>
    attempts(db.pool, webhook(1), 1, { kind: 'end', state: 'failed', because: 'gone' }, { gone: true });
  const fiveDaysPass = () => setGate(`failing_since = failing_since - disable_after_ms * interval '1 ms'`);

  test('by 410 Gone', async () => {
    const { gates } = await gone();
    expect(gates).toEqual([{ webhookId: webhook(1), disabledBecause: 'gone', breaker: null }]);
    expect(await gate()).toMatchObject({ status: 'disabled', status_reason: 'gone' });
    expect(await claimAll(db.pool)).toEqual([]);
  });

  test('by so many failed deliveries in a row, and not where one was delivered in between', async () => {
    await setGate('disable_after_failed = 3');
    await failForGood(2);
    await succeed();
    await failForGood(2);
    expect(await gate()).toMatchObject({ status: 'active', failed_in_a_row: 2 });
    const { gates } = await failForGood(1);
    expect(gates).toMatchObject([{ disabledBecause: 'failed_deliveries' }]);
    expect(await gate()).toMatchObject({ status: 'disabled', status_reason: 'failed_deliveries' });
  });

  test('by failed deliveries, not by attempts that will be repeated', async () => {
    await setGate('disable_after_failed = 3');
    await failForGood(2);
    await fail(10);
    expect(await gate()).toMatchObject({ status: 'active', failed_in_a_row: 2 });
    await failForGood(1);
    expect(await gate()).toMatchObject({ status: 'disabled' });
  });

  test('by failing for too long, told at the next failure', async () => {
    await fail(2);
    await setGate(`failing_since = failing_since - (disable_after_ms - 60000) * interval '1 ms'`);
    await fail();
    expect(await gate()).toMatchObject({ status: 'active' });
    await setGate(`failing_since = failing_since - interval '60 s'`);
    await fail();
    expect(await gate()).toMatchObject({ status: 'disabled', status_reason: 'failing_too_long' });
  });

  test('not by failures that lie long back where one success came since', async () => {
    await fail();
    await fiveDaysPass();
    await succeed();
    await fail();
    expect(await gate()).toMatchObject({ status: 'active' });
  });

  test('not for a reason that is switched off', async () => {
    await setGate('disable_after_ms = null');
    await failForGood(20);
    await setGate(`failing_since = 'epoch'`);
    await failForGood(1);
    expect(await gate()).toMatchObject({ status: 'active', failed_in_a_row: 21 });
  });

  test('once: a later reason changes neither the first one nor its time', async () => {
    await gone();
    const { status_since } = await gate();
    await setGate('disable_after_failed = 1');
    expect((await failForGood(3)).gates).toEqual([]);
    expect(await gate()).toMatchObject({ status: 'disabled', status_reason: 'gone', status_since });
  });

  test.each<[string, string, () => Promise<unknown>]>([
    ['410 Gone', 'gone', gone],
    ['failed deliveries', 'failed_deliveries', () => setGate('disable_after_failed = 1').then(() => failForGood(2))],
    [
      'failing for too long',
      'failing_too_long',
      async () => {
        await fail();
        await fiveDaysPass();
        await fail();
      },
    ],
  ])('also while it is paused: %s', async (_, reason, happens) => {
    await setGate(`status = 'paused'`);
    await happens();
    expect(await gate()).toMatchObject({ status: 'disabled', status_reason: reason });
  });
});

describe('the row of a gate', () => {
  test('is not written by a success where all is well', async () => {
    const { xmin } = await gate();
    for (let i = 0; i < 3; i++) await succeed();
    expect(await gate()).toMatchObject({ xmin });
    await fail();
    expect((await gate()).xmin).not.toBe(xmin);
  });

  test('is written by the first success after a failure, and by no further one', async () => {
    await fail(2);
    await succeed();
    const healed = await gate();
    expect(healed).toMatchObject({ failures: 0, failures_since: null, failing_since: null });
    await succeed();
    expect(await gate()).toEqual(healed);
  });

  test('is left alone by an attempt that is recorded again', async () => {
    const attempt = attemptOf(await underWay(db.pool, webhook(1)), 1, WAIT);
    await recordAttempts(db.pool, [attempt]);
    const before = await gate();
    await recordAttempts(db.pool, [attempt]);
    expect(await gate()).toEqual(before);
  });
});

describe('recorders at work at once', () => {
  /** Attempts of so many deliveries, each of its own. */
  async function failing(id: string, count: number): Promise<AttemptRecord[]> {
    const records: AttemptRecord[] = [];
    for (let i = 0; i < count; i++) records.push(attemptOf(await underWay(db.pool, id), 1, WAIT));
    return records;
  }

  test('lose none of 50 failures of one webhook', async () => {
    const records = await failing(webhook(1), 50);
    await Promise.all(records.map((record) => recordAttempts(db.pool, [record])));
    expect(await gate()).toMatchObject({ failures: 50 });
  });

  test('open its breaker, and tell of it once', async () => {
    await setGate('breaker_threshold = 10');
    const records = await failing(webhook(1), 50);
    const recorded = await Promise.all(records.map((record) => recordAttempts(db.pool, [record])));
    expect(recorded.flatMap(({ gates }) => gates)).toMatchObject([{ breaker: 'opened' }]);
    expect(await gate()).toMatchObject({ breaker_until: expect.any(Date), failures: 50 });
  });

  test('do not wait for each other in a circle, whatever the order of their batches', async () => {
    for (const n of [2, 3, 4]) await addWebhook(db.pool, webhook(n), 0);
    await setGate('breaker_threshold = null, disable_after_failed = null');
    const records: AttemptRecord[] = [];
    for (const n of [1, 2, 3, 4]) records.push(...(await failing(webhook(n), 50)));
    // Each batch holds attempts of all four webhooks; every other one the other way round.
    const batches = Array.from({ length: 25 }, (_, i) => {
      const batch = records.filter((_record, nth) => nth % 25 === i);
      return i % 2 === 0 ? batch : batch.reverse();
    });
    await Promise.all(batches.map((batch) => recordAttempts(db.pool, batch)));
    for (const n of [1, 2, 3, 4]) expect(await gateOf(db.pool, webhook(n))).toMatchObject({ failures: 50 });
  });
});
