import { installationForFile, receiverForEach } from '../support/for-tests';
import { until } from '../support/until';

const posthorn = installationForFile({ POSTHORN_DELIVERY_MODE: 'express' });
const receiver = receiverForEach();

/** An endpoint that answers when it is told to: `answers[n]` for its nth request. */
function heldAnswers(count: number) {
  const answers = Array.from({ length: count }, () => {
    let answer!: (status: number) => void;
    const status = new Promise<number>((resolve) => {
      answer = resolve;
    });
    return { status, answer };
  });
  receiver.setHandler(async (_, n) => ({ status: (await answers[n - 1]?.status) ?? 204 }));
  return answers.map(({ answer }) => answer);
}

const FAR = { schedule: ['1h', '1h', '1h'], jitter: 0 };
let made = 0;
async function underWay(settings: object = {}): Promise<string> {
  const type = `control.n${++made}`;
  await posthorn.api.createWebhook(receiver, { events: [type], retry_policy: FAR, ...settings });
  const [id] = await posthorn.api.publishDeliveries(type, 1);
  await receiver.waitFor(1);
  return id!;
}

test('a delivery that is under way says so, and by whom', async () => {
  const [answer] = heldAnswers(1);
  const id = await underWay();
  expect(await posthorn.api.delivery(id)).toMatchObject({ status: 'in_progress', path: 'express' });
  expect(await posthorn.api.ok('GET', `/deliveries/${id}/status`)).toMatchObject({ status: 'in_progress' });
  answer!(204);
  await posthorn.api.untilStatus(id, 'delivered');
});

test('a retry that is asked for meanwhile is met by a success', async () => {
  const [answer] = heldAnswers(1);
  const id = await underWay();
  await posthorn.api.ok('POST', `/deliveries/${id}/retry`);
  answer!(200);
  await posthorn.api.untilStatus(id, 'delivered');
  expect(receiver.requests).toHaveLength(1);
});

test('a retry that is asked for meanwhile follows a failure at once', async () => {
  const [first, second] = heldAnswers(2);
  const id = await underWay({ circuit_breaker: null });
  await posthorn.api.ok('POST', `/deliveries/${id}/retry`);
  first!(500);
  await receiver.waitFor(2);
  second!(200);
  const { attempts } = await posthorn.api.untilStatus(id, 'delivered');
  expect(attempts).toMatchObject([
    { number: 1, trigger: 'schedule' },
    { number: 2, trigger: 'manual' },
  ]);
});

test('a cancel that can wait for the attempt leaves a success as it is', async () => {
  const [answer] = heldAnswers(1);
  const id = await underWay();
  const cancelled = posthorn.api.call('POST', `/deliveries/${id}/cancel`);
  answer!(204);
  // It was asked for in time, or too late.
  expect([202, 409]).toContain((await cancelled).status);
  expect(await posthorn.api.delivery(id)).toMatchObject({ status: 'delivered' });
});

test('a cancel of one whose attempt is under way is met when that has failed', async () => {
  const [answer] = heldAnswers(1);
  const id = await underWay();
  await posthorn.api.ok('POST', `/deliveries/${id}/cancel`);
  expect(await posthorn.api.delivery(id)).toMatchObject({ status: 'in_progress' });
  answer!(500);
  const logged = await until('its attempt to be logged', async () => {
    const delivery = await posthorn.api.delivery(id);
    return delivery.attempts.length === 1 && delivery.status !== 'in_progress' && delivery;
  });
  expect(logged).toMatchObject({ status: 'cancelled', attempt_count: 1 });
  expect(receiver.requests).toHaveLength(1);
});

test('a pause holds what is published, a resume lets it go, each once', async () => {
  const { api } = posthorn;
  const webhook = await api.createWebhook(receiver, { events: ['held.back'] });
  await api.ok('POST', `/webhooks/${webhook.id}/pause`);
  await Promise.all(Array.from({ length: 300 }, (_, n) => api.publish('held.back', { n })));
  const { data } = await api.ok('GET', `/webhooks/${webhook.id}/deliveries?limit=200`);
  expect(new Set(data.map(({ status, held_because }: Record<string, string>) => `${status} ${held_because}`))).toEqual(
    new Set(['held paused']),
  );
  expect(receiver.requests).toEqual([]);
  await api.ok('POST', `/webhooks/${webhook.id}/resume`);
  await receiver.waitFor(300);
  await until('all to be recorded', async () => {
    const held = await api.ok('GET', `/webhooks/${webhook.id}/deliveries?status=delivered&limit=200`);
    const open = await api.ok('GET', `/webhooks/${webhook.id}/deliveries?status=in_progress`);
    return held.data.length === 200 && open.data.length === 0;
  });
  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(300);
  expect(receiver.requests).toHaveLength(300);
});

test('a bulk replay sends again what was delivered', async () => {
  const { api } = posthorn;
  const webhook = await api.createWebhook(receiver, { events: ['again'] });
  const ids = await api.publishDeliveries('again', 5);
  for (const id of ids) await api.untilStatus(id, 'delivered');
  const since = new Date(Date.now() - 3_600_000);
  await api.ok('POST', `/webhooks/${webhook.id}/replay`, { since, statuses: ['delivered'] });
  await receiver.waitFor(10);
  for (const id of ids) {
    const delivery = await until('its second attempt', async () => {
      const found = await api.delivery(id);
      return found.attempts.length === 2 && found.status === 'delivered' && found;
    });
    expect(delivery).toMatchObject({ path: 'express', attempts: [{}, { trigger: 'replay' }] });
  }
});
