import { setTimeout as sleep } from 'node:timers/promises';
import { parsePublicId } from '../../src/domain/ids';
import { sql } from '../api/support';
import { installationForFile, receiverForEach } from '../support/for-tests';
import { startReceiver } from '../support/receiver';
import { until } from '../support/until';

const posthorn = installationForFile({ POSTHORN_DELIVERY_MODE: 'express' });
const receiver = receiverForEach();

const numberOf = (body: Buffer) => (JSON.parse(body.toString()) as { data: { n: number } }).data.n;

/** Counts how many requests are under way at once; each takes a while. */
function counting(statusOf: (n: number) => number = () => 204) {
  const seen = { now: 0, most: 0 };
  receiver.setHandler(async ({ body }) => {
    seen.most = Math.max(seen.most, ++seen.now);
    await sleep(15);
    seen.now--;
    return { status: statusOf(numberOf(body)) };
  });
  return seen;
}

/**
 * Writes down when attempts are let go, by the clock that the rate limit goes by: how long a loaded machine takes to send
 * them is not smoothed. Returns what tells the times of a webhook, milliseconds, in their order.
 */
async function watchClaims(): Promise<(webhookId: string) => Promise<number[]>> {
  await sql(posthorn, 'create table let_go (webhook_id uuid, at timestamptz)');
  await sql(
    posthorn,
    `create function note_let_go() returns trigger language plpgsql as $$
      begin insert into let_go values (new.webhook_id, now()); return null; end $$`,
  );
  await sql(
    posthorn,
    `create trigger note_let_go after update on delivery_queue for each row
      when (new.posting is not null and new.posting is distinct from old.posting) execute function note_let_go()`,
  );
  return async (webhookId) => {
    const rows = await sql<{ ms: number }>(
      posthorn,
      'select extract(epoch from at)::float8 * 1000 as ms from let_go where webhook_id = $1 order by at',
      [parsePublicId('webhook', webhookId)],
    );
    return rows.map(({ ms }) => ms);
  };
}

test('an ordered webhook gets one at a time in its order, and its head is tried again before the next', async () => {
  const { api } = posthorn;
  const failures = new Map([
    [0, 1],
    [3, 2],
  ]);
  const seen = counting((n) => {
    const left = failures.get(n) ?? 0;
    failures.set(n, left - 1);
    return left > 0 ? 500 : 204;
  });
  const retry_policy = { schedule: ['300ms', '300ms', '300ms'], jitter: 0 };
  await api.createWebhook(receiver, { events: ['in.order'], ordered: true, retry_policy });
  const ids = await api.publishDeliveries('in.order', 8);
  for (const id of ids) await api.untilStatus(id, 'delivered');
  expect(receiver.requests.map(({ body }) => numberOf(body))).toEqual([0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 7]);
  expect(seen.most).toBe(1);
});

test('a retry of the head that is asked for while it is under way does not stop the others', async () => {
  const { api } = posthorn;
  let answer!: () => void;
  const held = new Promise<void>((resolve) => {
    answer = resolve;
  });
  receiver.setHandler(async (_, n) => {
    if (n > 1) return { status: 204 };
    await held;
    return { status: 500 };
  });
  await api.createWebhook(receiver, { events: ['head'], ordered: true, retry_policy: { schedule: ['1h'] } });
  const ids = await api.publishDeliveries('head', 3);
  await receiver.waitFor(1);
  await api.ok('POST', `/deliveries/${ids[0]}/retry`);
  answer();
  for (const id of ids) await api.untilStatus(id, 'delivered');
  expect(receiver.requests.map(({ body }) => numberOf(body))).toEqual([0, 0, 1, 2]);
});

test('no more of one webhook are under way than it wants', async () => {
  const { api } = posthorn;
  const seen = counting();
  await api.createWebhook(receiver, { events: ['few'], max_in_flight: 3 });
  await Promise.all(Array.from({ length: 60 }, (_, n) => api.publish('few', { n })));
  await receiver.waitFor(60);
  expect(seen.most).toBe(3);
});

test('a rate limit is kept in every window', async () => {
  const { api } = posthorn;
  const letGo = await watchClaims();
  const { id } = await api.createWebhook(receiver, { events: ['slowly'], rate_limit: '20/1s' });
  await Promise.all(Array.from({ length: 50 }, (_, n) => api.publish('slowly', { n })));
  const arrived = await receiver.waitFor(50);
  const times = await letGo(id);
  const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
  expect(most).toBeLessThanOrEqual(20);
  // Nothing goes that was not let go before, and nothing twice for being let go once.
  for (const [n, { at }] of arrived.entries()) expect(times[n]).toBeLessThan(at + 1);
});

test('the breaker opens, holds what comes, lets one through, and the backlog drains', async () => {
  const { api } = posthorn;
  let well = false;
  receiver.setHandler(() => ({ status: well ? 204 : 500 }));
  const webhook = await api.createWebhook(receiver, {
    events: ['unwell'],
    circuit_breaker: { failures: 3, open_for: '2s' },
    retry_policy: { schedule: ['500ms', '500ms', '500ms', '1s', '1s', '1s'], jitter: 0 },
  });
  await Promise.all(Array.from({ length: 40 }, (_, n) => api.publish('unwell', { n })));
  await until(
    'the breaker to open',
    async () => (await api.ok('GET', `/webhooks/${webhook.id}`)).health.circuit === 'open',
  );
  const { data } = await api.ok('GET', `/webhooks/${webhook.id}/deliveries?status=held`);
  expect(data.length).toBeGreaterThan(0);
  expect(data[0].held_because).toBe('circuit_open');
  well = true;
  await until(
    'all to be delivered',
    async () =>
      (await api.ok('GET', `/webhooks/${webhook.id}/deliveries?status=delivered&limit=200`)).data.length === 40,
  );
  const delivered = receiver.requests.slice(-40).map(({ headers }) => headers['webhook-id']);
  expect(new Set(delivered).size).toBe(40);
  const health = (await api.ok('GET', `/webhooks/${webhook.id}`)).health;
  expect(health).toMatchObject({ circuit: 'closed', failures_in_a_row: 0 });
});

test('a black hole takes no more than its cap, and others do not notice', async () => {
  const { api } = posthorn;
  const hole = await startReceiver(() => 'hang');
  await api.createWebhook(hole, { events: ['both'], timeout: '30s' });
  await api.createWebhook(receiver, { events: ['both'] });
  await Promise.all(Array.from({ length: 200 }, (_, n) => api.publish('both', { n })));
  await receiver.waitFor(200);
  // Its own setting (20) is what it takes: no more, and no less.
  await hole.waitFor(20);
  expect(hole.requests).toHaveLength(20);
  await hole.close();
});
