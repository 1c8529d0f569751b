import { logLateAttempt } from '../../src/db/queue/log-late-attempt';
import type { AttemptRecord } from '../../src/db/queue/record-attempts';
import { databaseForFile } from '../support/for-tests';
import { attemptOf, DELIVERED, publishMany, recordAttempts } from './support';

const db = databaseForFile({ poolSize: 8, planner: 'queue' });

async function one(deliveryId: string) {
  const { rows } = await db.pool.query(
    `select d.state, d.attempt_count, d.failed_because, d.ended_at is not null as ended,
       d.failed_at is not null as dead, q.timed, q.attempt, q.step, q.trigger, q.lease_until > now() as leased,
       extract(epoch from q.next_attempt_at - now())::float8 as wait_s,
       (select array_agg(a.number order by a.number) from attempts a where a.delivery_id = d.id) as attempts
     from deliveries d left join delivery_queue q on q.delivery_id = d.id where d.id = $1`,
    [deliveryId],
  );
  return rows[0];
}

function shuffled<T>(items: readonly T[]): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}

const batches = <T>(items: T[], size: number) =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));

/** The same records from two recorders at once, each in batches of its own order. Rejects on a deadlock. */
async function recordTwiceAtOnce(records: AttemptRecord[], batch: number): Promise<string[]> {
  const work = [...batches(shuffled(records), batch), ...batches(shuffled(records), batch)];
  const moved = await Promise.all(work.map((part) => recordAttempts(db.pool, part)));
  return moved.flatMap((batch) => [...batch.moved]);
}

test('recorded twice at once and shuffled: no deadlock, and each delivery is ended once', async () => {
  const claimed = await publishMany(db.pool, 400);
  expect(claimed).toHaveLength(400);
  const moved = await recordTwiceAtOnce(
    claimed.map((delivery) => attemptOf(delivery, 1, DELIVERED)),
    40,
  );
  expect(moved).toHaveLength(400);
  expect(new Set(moved)).toEqual(new Set(claimed.map((delivery) => delivery.deliveryId)));

  // The same again, late, and with attempts that nobody wrote yet: nothing to lock, only the log to add to.
  const late = claimed.map((delivery) => attemptOf(delivery, 2, DELIVERED));
  expect(await recordTwiceAtOnce(late, 400)).toEqual([]);
  const { rows } = await db.pool.query(
    `select (select count(*) from delivery_queue) as queued, (select count(*) from attempts) as attempts,
       (select count(*) from deliveries where state = 'delivered' and attempt_count = 1) as delivered`,
  );
  expect(rows).toEqual([{ queued: 0, attempts: 800, delivered: 400 }]);
});

test('the end of a delivery stands in its record, and its queue row is gone', async () => {
  const [delivered, failed] = await publishMany(db.pool, 2);
  const dead = attemptOf(failed!, 1, { kind: 'end', state: 'failed', because: 'exhausted' });
  const { moved } = await recordAttempts(db.pool, [attemptOf(delivered!, 1, DELIVERED), { ...dead, statusCode: 500 }]);
  expect(moved.size).toBe(2);
  expect(await one(delivered!.deliveryId)).toMatchObject({
    ...{ state: 'delivered', attempt_count: 1, ended: true, dead: false, timed: null, attempts: [1] },
  });
  expect(await one(failed!.deliveryId)).toMatchObject({
    ...{ state: 'failed', attempt_count: 1, ended: true, dead: true, failed_because: 'exhausted' },
  });
});

test('a retry waits from now, uses up a step and gives the lease back', async () => {
  const [claimed] = await publishMany(db.pool, 1);
  await db.pool.query(`update delivery_queue set trigger = 'manual' where delivery_id = $1`, [claimed!.deliveryId]);
  await recordAttempts(db.pool, [{ ...attemptOf(claimed!, 1, { kind: 'wait', waitMs: 60_000 }), trigger: 'manual' }]);
  const row = await one(claimed!.deliveryId);
  expect(row).toMatchObject({ state: 'pending', timed: true, attempt: 1, step: 1, trigger: 'schedule', leased: false });
  expect(row.wait_s).toBeGreaterThan(30);
  expect(row.wait_s).toBeLessThanOrEqual(60);
});

test('an attempt made by hand in the middle of a wait leaves the wait as it is', async () => {
  const [claimed] = await publishMany(db.pool, 1);
  await recordAttempts(db.pool, [attemptOf(claimed!, 1, { kind: 'wait', waitMs: 3_600_000 })]);
  const next = `select next_attempt_at from delivery_queue where delivery_id = '${claimed!.deliveryId}'`;
  const before = (await db.pool.query(next)).rows;
  await recordAttempts(db.pool, [attemptOf(claimed!, 2, { kind: 'keep_waiting' })]);
  expect((await db.pool.query(next)).rows).toEqual(before);
  expect(await one(claimed!.deliveryId)).toMatchObject({ timed: true, attempt: 2, step: 1, attempts: [1, 2] });
});

test('a recorder that comes late adds to the log and changes nothing else', async () => {
  const [waiting, ended] = await publishMany(db.pool, 2);
  const wait = { kind: 'wait', waitMs: 3_600_000 } as const;
  await recordAttempts(db.pool, [attemptOf(waiting!, 1, wait)]);
  await recordAttempts(db.pool, [attemptOf(waiting!, 2, wait), attemptOf(ended!, 1, DELIVERED)]);
  const before = [await one(waiting!.deliveryId), await one(ended!.deliveryId)];

  // Attempt 1 again with another outcome, and an attempt of what has ended.
  const late = [attemptOf(waiting!, 1, DELIVERED), attemptOf(ended!, 2, wait)];
  const recorded = await recordAttempts(db.pool, late);
  expect(recorded).toMatchObject({ moved: new Set(), logged: new Set([ended!.deliveryId]) });
  const after = [await one(waiting!.deliveryId), await one(ended!.deliveryId)];
  for (const row of [...before, ...after]) row.wait_s = row.wait_s && Math.round(row.wait_s / 600);
  expect(after).toEqual([before[0], { ...before[1], attempts: [1, 2] }]);
  const first = await db.pool.query('select status_code from attempts where delivery_id = $1 and number = 1', [
    waiting!.deliveryId,
  ]);
  expect(first.rows).toEqual([{ status_code: 500 }]);
});

test('how a body was made is kept with its attempt, in the order of its members', async () => {
  const [recorded, late] = await publishMany(db.pool, 2);
  const envelope = { shape: { zzz: '$id', a: '$data', mm: ['$attempt'] } };
  const sentAs = { bodyFormat: 'compact', envelope, attempt: 1, retryable: true, sentAtMs: 1_795_451_977_631 } as const;
  await recordAttempts(db.pool, [{ ...attemptOf(recorded!, 1, DELIVERED), sentAs }]);
  // Its number is taken: it gets the next one, and keeps what it said of itself.
  await recordAttempts(db.pool, [attemptOf(late!, 1, DELIVERED)]);
  expect(await logLateAttempt(db.kysely, { ...attemptOf(late!, 1, DELIVERED), sentAs })).toBe(2);
  const kept = async ({ deliveryId }: { deliveryId: string }) => {
    const query = 'select number, sent_as::text from attempts where delivery_id = $1 order by number';
    return (await db.pool.query(query, [deliveryId])).rows;
  };
  expect(await kept(recorded!)).toEqual([{ number: 1, sent_as: JSON.stringify(sentAs) }]);
  expect(await kept(late!)).toEqual([
    { number: 1, sent_as: null },
    { number: 2, sent_as: JSON.stringify(sentAs) },
  ]);
});
