import { setTimeout as sleep } from 'node:timers/promises';
import { installationForFile, receiverForFile } from '../support/for-tests';
import { seededRandom } from '../support/random';
import type { ReceivedRequest } from '../support/receiver';
import { until } from '../support/until';

const EVENTS = 150;
const TOGGLES = 12;
const LIMIT_MS = 120_000;

const posthorn = installationForFile();
const receiver = receiverForFile();

const deliveryOf = ({ headers }: ReceivedRequest) => String(headers['x-webhook-delivery']);
const attemptOf = (request: ReceivedRequest) => `${deliveryOf(request)} ${request.headers['x-webhook-attempt']}`;

test('pausing and resuming while deliveries are in every state loses none and duplicates none', async () => {
  const { api } = posthorn;
  const random = seededRandom(4);
  const succeeded: string[] = [];
  receiver.setHandler(async (request) => {
    const status = random() < 0.35 ? 500 : 200;
    await sleep(random() * 200);
    if (status === 200) succeeded.push(deliveryOf(request));
    return { status };
  });
  const webhook = await api.createWebhook(receiver, {
    retry_policy: { initial: '200ms', factor: 1, max_attempts: 40, jitter: 1 },
  });
  const seen = new Set<string>();
  const publishing = (async () => {
    for (let n = 0; n < EVENTS; n++) {
      await api.publish('order.created', { n });
      await sleep(random() * 25);
    }
  })();
  for (let n = 0; n < TOGGLES; n++) {
    await sleep(random() * 600);
    await api.ok('POST', `/webhooks/${webhook.id}/pause`);
    await sleep(random() * 400);
    const list = await api.ok<{ data: { status: string }[] }>('GET', '/deliveries?limit=200');
    for (const delivery of list.data) seen.add(delivery.status);
    await api.ok('POST', `/webhooks/${webhook.id}/resume`);
  }
  await publishing;

  const all = await until(
    'every delivery to be delivered',
    async () => {
      const { data } = await api.ok<{ data: { id: string; status: string }[] }>('GET', '/deliveries?limit=200');
      return data.every((delivery) => delivery.status === 'delivered') && data;
    },
    LIMIT_MS,
  );
  expect(all).toHaveLength(EVENTS);
  expect([...succeeded].sort()).toEqual(all.map((delivery) => delivery.id).sort());
  const attempts = receiver.requests.map(attemptOf);
  expect(new Set(attempts).size).toBe(attempts.length);
  // The test is about these: without them it would prove nothing.
  expect([...seen]).toEqual(expect.arrayContaining(['held', 'retrying', 'delivered']));
}, 200_000);

test('what is paused stays as it is, says why, and goes on within a second of its poll', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 204 }));
  const webhook = await api.createWebhook(receiver, { events: ['kept'] });
  await api.ok('POST', `/webhooks/${webhook.id}/pause`);
  const before = receiver.requests.length;
  const ids: string[] = [];
  for (let n = 0; n < 5; n++) {
    const event = await api.publish('kept');
    ids.push((await api.deliveriesOf(event.id)).find((delivery) => delivery.webhook_id === webhook.id)!.id);
  }
  for (const id of ids) {
    expect(await api.delivery(id)).toMatchObject({ status: 'held', held_because: 'paused', attempt_count: 0 });
  }
  // A retry by hand does not break through a pause; it is the first thing once that is over.
  await api.ok('POST', `/deliveries/${ids[0]}/retry`);
  expect(await api.untilStatus(ids[0]!, 'held')).toMatchObject({ held_because: 'paused' });
  await api.ok('POST', `/webhooks/${webhook.id}/resume`);
  for (const id of ids) await api.untilStatus(id, 'delivered');
  const own = receiver.requests.slice(before).map(deliveryOf);
  expect(ids.every((id) => own.filter((other) => other === id).length === 1)).toBe(true);
});
