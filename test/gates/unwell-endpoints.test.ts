import { installationForFile, receiverForEach } from '../support/for-tests';
import type { ReceivedRequest } from '../support/receiver';
import { until } from '../support/until';

const posthorn = installationForFile();
const receiver = receiverForEach();

const NO_DISABLING = { disable_after: null };
let types = 0;

/** A webhook with a type of its own, and `count` events for it. */
async function webhookWith(
  count: number,
  settings: object,
): Promise<{ id: string; deliveries: string[]; type: string }> {
  const { api } = posthorn;
  const type = `unwell.t${types++}`;
  const { id } = await api.createWebhook(receiver, { events: [type], ...settings });
  return { id, deliveries: await publish(type, count), type };
}

const publish = (type: string, count: number) => posthorn.api.publishDeliveries(type, count);

const health = async (id: string) => (await posthorn.api.ok<{ health: Health }>('GET', `/webhooks/${id}`)).health;
type Health = { circuit: string; throttled_until: string | null; adaptive_max_in_flight: number | null };
const attemptsOf = (requests: ReceivedRequest[]) =>
  requests.map(({ headers }) => `${headers['x-webhook-delivery']} ${headers['x-webhook-attempt']}`);

describe('the circuit breaker', () => {
  test('opens after failures in a row, holds what waits, tries once, and lets all through when that succeeds', async () => {
    const { api } = posthorn;
    receiver.setHandler(() => ({ status: 500 }));
    const { id, deliveries, type } = await webhookWith(4, {
      ...NO_DISABLING,
      retry_policy: { schedule: ['1h'] },
      circuit_breaker: { failures: 4, window: '1m', open_for: '2s' },
    });
    await until('the breaker to open', async () => (await health(id)).circuit === 'open');
    const later = await publish(type, 10);
    const heldThen = await Promise.all(later.map((delivery) => api.delivery(delivery)));
    expect(heldThen.filter(({ status }) => status === 'held')).toEqual(
      expect.arrayContaining([expect.objectContaining({ held_because: 'circuit_open', attempt_count: 0 })]),
    );
    // A probe that fails: one POST and no more, and the breaker is open again.
    await receiver.waitFor(5);
    await until('the breaker to open again', async () => (await health(id)).circuit === 'open');
    expect(receiver.requests).toHaveLength(5);

    receiver.setHandler(() => ({ status: 204 }));
    await until('the breaker to close', async () => (await health(id)).circuit === 'closed');
    const probed = later.find((delivery) => attemptsOf(receiver.requests.slice(4, 5))[0]?.startsWith(delivery));
    for (const delivery of later) if (delivery !== probed) await api.untilStatus(delivery, 'delivered');
    // Those that had failed wait for their own time: the breaker used up none of their attempts.
    for (const delivery of deliveries) {
      expect(await api.delivery(delivery)).toMatchObject({ status: 'retrying', attempt_count: 1 });
    }
    const attempts = attemptsOf(receiver.requests);
    expect(new Set(attempts).size).toBe(attempts.length);
  });

  test('a retry whose time comes behind an open breaker is held with its attempts, and resume lets it go', async () => {
    const { api } = posthorn;
    receiver.setHandler(() => ({ status: 503 }));
    const { id, deliveries } = await webhookWith(2, {
      ...NO_DISABLING,
      retry_policy: { schedule: ['1s', '1h'], jitter: 0 },
      circuit_breaker: { failures: 2, open_for: '1h' },
    });
    for (const delivery of deliveries) {
      expect(await api.untilStatus(delivery, 'held')).toMatchObject({ held_because: 'circuit_open', attempt_count: 1 });
    }
    expect(receiver.requests).toHaveLength(2);
    receiver.setHandler(() => ({ status: 204 }));
    await api.ok('POST', `/webhooks/${id}/resume`);
    for (const delivery of deliveries) {
      expect(await api.untilStatus(delivery, 'delivered')).toMatchObject({ attempt_count: 2 });
    }
    expect(await health(id)).toMatchObject({ circuit: 'closed', failures_in_a_row: 0 });
  });
});

describe('a receiver that asks for less', () => {
  test.each([
    ['seconds', () => '3'],
    ['a date', () => new Date(Date.now() + 4_000).toUTCString()],
  ])('Retry-After as %s holds the whole webhook up, not one delivery', async (_, retryAfter) => {
    const { api } = posthorn;
    let refusedAt = 0;
    receiver.setHandler(() => {
      if (refusedAt > 0) return { status: 204 };
      refusedAt = Date.now();
      return { status: 503, headers: { 'retry-after': retryAfter() } };
    });
    const { id, deliveries, type } = await webhookWith(1, { retry_policy: { schedule: ['100ms'], jitter: 0 } });
    await until('the webhook to be throttled', async () => (await health(id)).throttled_until !== null);
    const [other] = await publish(type, 1);
    expect(await api.delivery(other!)).toMatchObject({ status: 'held', held_because: 'throttled' });
    for (const delivery of [...deliveries, other!]) await api.untilStatus(delivery, 'delivered');
    const [, ...later] = receiver.requests;
    expect(later).toHaveLength(2);
    for (const { at } of later) expect(at - refusedAt).toBeGreaterThanOrEqual(2_900);
  });

  test('429 without Retry-After slows it down as well', async () => {
    receiver.setHandler(() => ({ status: 429 }));
    const { id, deliveries } = await webhookWith(1, { retry_policy: { schedule: ['1h'] } });
    await posthorn.api.untilStatus(deliveries[0]!, 'retrying');
    expect((await health(id)).throttled_until).not.toBeNull();
  });

  test('Retry-After: 99999999 is honoured within bounds: a day for the delivery, an hour for the webhook', async () => {
    receiver.setHandler(() => ({ status: 429, headers: { 'retry-after': '99999999' } }));
    const { id, deliveries } = await webhookWith(1, { retry_policy: { schedule: ['1s'], jitter: 0 } });
    const { next_attempt_at } = await posthorn.api.untilStatus(deliveries[0]!, 'retrying');
    const hours = (at: string | null) => (Date.parse(at!) - Date.now()) / 3_600_000;
    expect(hours(next_attempt_at)).toBeGreaterThan(23.9);
    expect(hours(next_attempt_at)).toBeLessThanOrEqual(24);
    expect(hours((await health(id)).throttled_until)).toBeGreaterThan(0.9);
    expect(hours((await health(id)).throttled_until)).toBeLessThanOrEqual(1);
  });
});

test('an endpoint that times out is sent less at once, and more again when it answers', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => 'hang');
  const { id, deliveries, type } = await webhookWith(1, {
    ...NO_DISABLING,
    timeout: '1s',
    max_in_flight: 8,
    retry_policy: { schedule: ['1h'] },
    circuit_breaker: null,
  });
  // One after the other: those that are written down together count once.
  for (const left of [4, 2, 1]) {
    const [delivery] = left === 4 ? deliveries : await publish(type, 1);
    const { attempts } = await api.untilStatus(delivery!, 'retrying');
    expect(attempts[0]!.error).toMatchObject({ code: 'headers_timeout' });
    expect((await health(id)).adaptive_max_in_flight).toBe(left);
  }
  receiver.setHandler(() => ({ status: 204 }));
  for (const delivery of await publish(type, 10)) await api.untilStatus(delivery, 'delivered');
  expect((await health(id)).adaptive_max_in_flight).toBeNull();
});

test('a webhook with its own cap has no more than that under way, retries included', async () => {
  const { api } = posthorn;
  let underWay = 0;
  let most = 0;
  receiver.setHandler(async ({ headers }) => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setTimeout(resolve, 60));
    underWay--;
    return { status: headers['x-webhook-attempt'] === '1' ? 500 : 204 };
  });
  const { deliveries } = await webhookWith(12, {
    ...NO_DISABLING,
    max_in_flight: 2,
    circuit_breaker: null,
    retry_policy: { schedule: ['300ms'], jitter: 0 },
  });
  for (const delivery of deliveries)
    expect(await api.untilStatus(delivery, 'delivered')).toMatchObject({ attempt_count: 2 });
  expect(most).toBe(2);
});

test('what is over a rate limit is held, and says so', async () => {
  const { api } = posthorn;
  const { deliveries } = await webhookWith(2, { rate_limit: '1/1m' });
  await api.untilStatus(deliveries[0]!, 'delivered');
  expect(await api.delivery(deliveries[1]!)).toMatchObject({ status: 'held', held_because: 'rate_limited' });
});

test('a rate limit holds for first attempts and retries together', async () => {
  const { api } = posthorn;
  receiver.setHandler(({ headers }) => ({ status: headers['x-webhook-attempt'] === '1' ? 500 : 204 }));
  const { id, type } = await webhookWith(0, {
    ...NO_DISABLING,
    rate_limit: '2/1s',
    circuit_breaker: null,
    retry_policy: { schedule: ['100ms'], jitter: 0 },
  });
  await api.ok('POST', `/webhooks/${id}/pause`);
  const deliveries = await publish(type, 6);
  const begunAt = Date.now();
  await api.ok('POST', `/webhooks/${id}/resume`);
  for (const delivery of deliveries) await api.untilStatus(delivery, 'delivered');
  const times = receiver.requests.map(({ at }) => at);
  expect(times).toHaveLength(12);
  // Twelve at two a second are let go over 5.5 s; how long each then takes to arrive is not smoothed.
  expect(times.at(-1)! - begunAt).toBeGreaterThanOrEqual(5_499);
});
