import { randomUUID } from 'node:crypto';
import { parsePublicId } from '../../src/domain/ids';
import { RETRY_PRESETS } from '../../src/domain/retry-schedule';
import type { WorkflowStatus } from '../../src/workflows/contract';
import { queryOnce } from '../support/database';
import { told } from '../support/history';
import { type Receiver, startReceiver } from '../support/receiver';
import { type SkippingInstallation, startSkippingInstallation } from '../support/time-skipping';
import { until } from '../support/until';

const SECOND = 1_000;
const HOUR = 3_600_000;

let posthorn: SkippingInstallation;
let receiver: Receiver;

beforeAll(async () => {
  posthorn = await startSkippingInstallation();
});
afterAll(() => posthorn?.stop());
beforeEach(async () => {
  receiver = await startReceiver(() => ({ status: 500 }));
});
afterEach(() => receiver?.close());

/** Publishes to a webhook of its own and returns the delivery. */
async function publish(settings: { active?: boolean; retry_policy?: object } = {}): Promise<string> {
  const type = `case.n${randomUUID()}`;
  await posthorn.api.createWebhook(receiver, { events: [type], ...settings });
  const id = await posthorn.api.onlyDelivery((await posthorn.api.publish(type)).id);
  // Its workflow exists once it has sent something.
  if (settings.active !== false) await receiver.waitFor(1);
  return id;
}

const handle = (id: string) => posthorn.env.client.workflow.getHandle(id);
/** Lets time fly to the delivery's end. */
const result = (id: string): Promise<string> => handle(id).result();
const status = (id: string) => handle(id).query<WorkflowStatus>('status');
const post = (id: string, action: 'retry' | 'cancel') => posthorn.api.ok('POST', `/deliveries/${id}/${action}`);
const reschedule = (id: string, atMs: number) => handle(id).signal('reschedule', { atMs, by: 'test' });
const numbersSent = () => receiver.requests.map((request) => Number(request.headers['x-webhook-attempt']));

/** Holds the answer to request `n` until `answer` is called; every other request gets 500. */
function holdAnswer(n: number): (status: number) => void {
  let answer: (status: number) => void = () => undefined;
  const held = new Promise<number>((resolve) => {
    answer = resolve;
  });
  receiver.setHandler(async (_, count) => ({ status: count === n ? await held : 500 }));
  return answer;
}

/** Each timer is a step of the schedule, longer by at most the default jitter of 20 %. */
function expectSteps(timersMs: number[], stepsMs: readonly number[]): void {
  expect(timersMs).toHaveLength(stepsMs.length);
  for (const [i, step] of stepsMs.entries()) {
    expect(timersMs[i]).toBeGreaterThanOrEqual(step);
    expect(timersMs[i]).toBeLessThanOrEqual(step * 1.2);
  }
}

test('the default schedule: ten attempts over three days, then failed', async () => {
  const id = await publish();
  expect(await result(id)).toBe('failed');
  expectSteps((await told(posthorn.env.client, id)).timersMs, RETRY_PRESETS.standard);
  expect(numbersSent()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const delivery = await posthorn.api.delivery(id);
  expect(delivery).toMatchObject({ status: 'failed', failed_because: 'exhausted', attempt_count: 10 });
  expect(delivery.attempts.map((attempt) => attempt.trigger)).toEqual(Array(10).fill('schedule'));
});

test('an endpoint that comes back gets the event at the next step', async () => {
  receiver.setHandler((_, n) => ({ status: n < 4 ? 503 : 200 }));
  const id = await publish();
  expect(await result(id)).toBe('delivered');
  expectSteps((await told(posthorn.env.client, id)).timersMs, RETRY_PRESETS.standard.slice(0, 3));
  expect(numbersSent()).toEqual([1, 2, 3, 4]);
});

test('status: under way, then waiting with the time of the next attempt and what came back last', async () => {
  const answer = holdAnswer(2);
  const id = await publish({ retry_policy: { schedule: ['1s', '1h'], jitter: 0 } });
  await receiver.waitFor(2);
  expect(await status(id)).toEqual({ state: 'in_progress', attempts: 1, last: { number: 1, statusCode: 500 } });
  const before = await posthorn.env.currentTimeMs();
  answer(503);
  const waiting = await until('the second wait', async () => {
    const now = await status(id);
    return now.state === 'retrying' && now;
  });
  expect(waiting).toMatchObject({ state: 'retrying', attempts: 2, last: { number: 2, statusCode: 503 } });
  expect(waiting.nextAttemptAtMs! - before).toBeGreaterThanOrEqual(HOUR);
  expect(waiting.nextAttemptAtMs! - before).toBeLessThan(HOUR + 60 * SECOND);
});

test('replay during the wait: an attempt now, by hand, and the schedule goes on from where it was', async () => {
  const id = await publish({ retry_policy: { schedule: ['1h', '2h'], jitter: 0 } });
  await posthorn.api.untilStatus(id, 'retrying');
  const due = (await status(id)).nextAttemptAtMs;
  expect(due).toBeDefined();
  await post(id, 'retry');
  const after = await until('the attempt by hand', async () => {
    const now = await status(id);
    return now.attempts === 2 && now.state === 'retrying' && now;
  });
  expect(after.nextAttemptAtMs).toBe(due);

  expect(await result(id)).toBe('failed');
  const [first, rest, second, ...more] = (await told(posthorn.env.client, id)).timersMs;
  expect([first, second, more]).toEqual([HOUR, 2 * HOUR, []]);
  // What was left of the first wait.
  expect(rest).toBeLessThanOrEqual(HOUR);
  expect(rest).toBeGreaterThan(HOUR - 60 * SECOND);
  const { attempts } = await posthorn.api.delivery(id);
  expect(attempts.map((attempt) => attempt.trigger)).toEqual(['schedule', 'manual', 'schedule', 'schedule']);
});

test('cancel during the wait ends the delivery without another attempt', async () => {
  const id = await publish();
  await posthorn.api.untilStatus(id, 'retrying');
  await post(id, 'cancel');
  expect(await result(id)).toBe('cancelled');
  expect(await posthorn.api.delivery(id)).toMatchObject({ status: 'cancelled', attempt_count: 1 });
  expect(numbersSent()).toEqual([1]);
});

test('reschedule moves the next attempt and leaves the schedule after it alone', async () => {
  const id = await publish({ retry_policy: { schedule: ['1h', '2h'], jitter: 0 } });
  await posthorn.api.untilStatus(id, 'retrying');
  const at = (await posthorn.env.currentTimeMs()) + 5 * HOUR;
  // Not by the API, whose clock is behind this server's by now.
  await reschedule(id, at);
  await until('the new time', async () => (await status(id)).nextAttemptAtMs === at);
  const shown = await posthorn.api.delivery(id);
  expect(new Date(shown.next_attempt_at!).getTime()).toBe(at);

  expect(await result(id)).toBe('failed');
  const [first, moved, second, ...more] = (await told(posthorn.env.client, id)).timersMs;
  expect([first, second, more]).toEqual([HOUR, 2 * HOUR, []]);
  expect(moved).toBeLessThanOrEqual(5 * HOUR);
  expect(moved).toBeGreaterThan(5 * HOUR - 60 * SECOND);
  expect(numbersSent()).toEqual([1, 2, 3]);
});

/** Signals the run of a delivery that waits after its first attempt: it looks at Postgres, and waits for the same time. */
async function expectSameWait(id: string, signal: string, request?: object): Promise<void> {
  const due = (await status(id)).nextAttemptAtMs!;
  await handle(id).signal(signal, ...(request ? [request] : []));
  // Queries come after the signals before them; the run has looked at Postgres once it waits again.
  const after = await until('the run to wait again', async () => {
    const { timersMs } = await told(posthorn.env.client, id);
    return timersMs.length === 2 && status(id);
  });
  expect(after).toMatchObject({ state: 'retrying', attempts: 1 });
  expect(Math.abs(after.nextAttemptAtMs! - due)).toBeLessThan(60 * SECOND);
}

test('wake on a waiting run does nothing', async () => {
  const id = await publish({ retry_policy: { schedule: ['1h'], jitter: 0 } });
  await posthorn.api.untilStatus(id, 'retrying');
  await expectSameWait(id, 'wake');
  expect(await result(id)).toBe('failed');
  expect(numbersSent()).toEqual([1, 2]);
});

/** Signals may be late, and overtake each other: what they tell of may be over. */
test.each([
  ['cancel', { by: 'test', recorded: true }],
  ['reschedule', { by: 'test', atMs: Date.now() + 9 * HOUR, moves: 1 }],
  ['reschedule', { by: 'test', atMs: 0, moves: 7 }],
])('%s %j that Postgres knows nothing of leaves the wait as it is', async (signal, request) => {
  const id = await publish({ retry_policy: { schedule: ['1h', '2h'], jitter: 0 } });
  await posthorn.api.untilStatus(id, 'retrying');
  await expectSameWait(id, signal, request);
  expect(await result(id)).toBe('failed');
  expect(numbersSent()).toEqual([1, 2, 3]);
});

test('a delivery that was rescheduled, cancelled and sent anew is rescheduled again', async () => {
  const id = await publish({ retry_policy: { schedule: ['1h', '2h'], jitter: 0 } });
  // What the API does, by this server's clock: the API's is behind by now.
  const rescheduleBy = async (hours: number) => {
    await posthorn.api.untilStatus(id, 'retrying');
    const at = (await posthorn.env.currentTimeMs()) + hours * HOUR;
    const [{ moves }] = await queryOnce(
      posthorn.databaseUrl,
      `update delivery_queue set next_attempt_at = '${new Date(at).toISOString()}', moves = moves + 1
       where delivery_id = '${parsePublicId('delivery', id)}' returning moves`,
    );
    await handle(id).signal('reschedule', { atMs: at, moves, by: 'test' });
    await until('the new time', async () => (await status(id)).nextAttemptAtMs === at);
  };
  await rescheduleBy(5);
  await handle(id).signal('cancel', { by: 'test' });
  await handle(id).signal('retryNow', { by: 'test' });
  await receiver.waitFor(2);
  await rescheduleBy(7);
  expect(await result(id)).toBe('failed');
});

/** The second one is the first name of it: runs and senders of an earlier version may still use it. */
const RETRY_SIGNALS = ['retryNow', 'replay'];

test.each(RETRY_SIGNALS)('a cancel, then %s: cancelled first, then sent anew under the next number', async (retry) => {
  receiver.setHandler((_, n) => ({ status: n === 1 ? 500 : 200 }));
  const id = await publish();
  await posthorn.api.untilStatus(id, 'retrying');
  // In one go: the workflow may find both in the same task.
  await handle(id).signal('cancel', { by: 'test' });
  await handle(id).signal(retry, { by: 'test' });
  expect(await result(id)).toBe('delivered');
  const { attempts } = await posthorn.api.untilStatus(id, 'delivered');
  expect(attempts.map(({ number, trigger }) => [number, trigger])).toEqual([
    [1, 'schedule'],
    [2, 'manual'],
  ]);
});

test.each(RETRY_SIGNALS)('after %s, then a cancel, nothing is sent any more', async (retry) => {
  const answer = holdAnswer(1);
  const id = await publish();
  await receiver.waitFor(1);
  await handle(id).signal(retry, { by: 'test' });
  await handle(id).signal('cancel', { by: 'test' });
  answer(500);
  expect(await result(id)).toBe('cancelled');
  expect(numbersSent()).toEqual([1]);
});

test('a retry of an ended delivery starts a fresh schedule; attempt numbers go on', async () => {
  const id = await publish({ retry_policy: { schedule: ['1h'], jitter: 0 } });
  expect(await result(id)).toBe('failed');
  await post(id, 'retry');
  await posthorn.api.untilStatus(id, 'retrying');
  expect(await result(id)).toBe('failed');
  expect(numbersSent()).toEqual([1, 2, 3, 4]);
  const { attempts } = await posthorn.api.delivery(id);
  expect(attempts.map((attempt) => attempt.trigger)).toEqual(['schedule', 'schedule', 'manual', 'schedule']);
});

describe.each([
  ['the first attempt', 1],
  ['a later attempt', 2],
])('a signal that arrives while %s runs', (_, held) => {
  // One step is left after the attempt; the step before it is short enough to pass on the real clock.
  const schedule = [...Array(held - 1).fill('1s'), '1h'];

  /** A delivery whose attempt `held` waits for its answer. */
  async function underWay() {
    const answer = holdAnswer(held);
    const id = await publish({ retry_policy: { schedule, jitter: 0, client_errors: 'fail' } });
    await receiver.waitFor(held);
    return { id, answer };
  }

  test('replay is met by that attempt where it succeeds', async () => {
    const { id, answer } = await underWay();
    await post(id, 'retry');
    answer(200);
    expect(await result(id)).toBe('delivered');
    expect(receiver.requests).toHaveLength(held);
  });

  test('replay follows at once where that attempt fails, and uses up no step', async () => {
    const { id, answer } = await underWay();
    await post(id, 'retry');
    await post(id, 'retry'); // both are met by one attempt
    answer(500);
    expect(await result(id)).toBe('failed');
    const { attempts } = await posthorn.api.delivery(id);
    expect(attempts.map((attempt) => attempt.trigger)).toEqual([...Array(held).fill('schedule'), 'manual', 'schedule']);
  });

  test('replay starts the delivery anew where that attempt is its last', async () => {
    const { id, answer } = await underWay();
    await post(id, 'retry');
    answer(400);
    await receiver.waitFor(held + 1);
    expect(await result(id)).toBe('failed');
    const { attempts } = await posthorn.api.delivery(id);
    expect(attempts[held]).toMatchObject({ number: held + 1, trigger: 'manual' });
    // A schedule from its start, after the attempt by hand.
    expect(attempts).toHaveLength(held + 1 + held);
  });

  test('cancel counts where that attempt fails', async () => {
    const { id, answer } = await underWay();
    await post(id, 'cancel');
    answer(500);
    expect(await result(id)).toBe('cancelled');
    expect(receiver.requests).toHaveLength(held);
    expect(await posthorn.api.delivery(id)).toMatchObject({ status: 'cancelled', attempt_count: held });
  });

  test('cancel comes too late where that attempt succeeds', async () => {
    const { id, answer } = await underWay();
    await post(id, 'cancel');
    answer(200);
    expect(await result(id)).toBe('delivered');
    expect(await posthorn.api.delivery(id)).toMatchObject({ status: 'delivered', attempt_count: held });
  });

  test('reschedule moves the attempt after it', async () => {
    const { id, answer } = await underWay();
    const at = (await posthorn.env.currentTimeMs()) + 5 * HOUR;
    await reschedule(id, at);
    answer(500);
    await until('the new time', async () => (await status(id)).nextAttemptAtMs === at);
    expect(await result(id)).toBe('failed');
    expect(receiver.requests).toHaveLength(held + 1);
  });
});
