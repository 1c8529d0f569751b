import type { TestApi } from '../support/api';
import { type Receiver, startReceiver } from '../support/receiver';
import { createSite, numbersOf, type Site } from './support';

const SLOW_MS = 3_000;

let site: Site;
let api: TestApi;
let down: Receiver;
let slow: Receiver;
let healthy: Receiver;

beforeAll(async () => {
  site = await createSite();
  api = await site.startApi();
  await site.startWorker();
  down = await startReceiver();
  await down.close(); // its port now refuses
  slow = await startReceiver(() => ({ status: 200, delayMs: SLOW_MS }));
  healthy = await startReceiver();
});
afterAll(async () => {
  await site?.stop();
  await Promise.all([slow?.close(), healthy?.close()]);
});

test('one event, three endpoints: down fails by its schedule, slow and healthy get it once', async () => {
  const policy = { retry_policy: { schedule: ['500ms', '1s'], jitter: 0 } };
  const webhooks = {
    down: await api.createWebhook(down, policy),
    slow: await api.createWebhook(slow, policy),
    healthy: await api.createWebhook(healthy, policy),
  };
  const event = await api.publish();
  expect(event.deliveries).toBe(3);
  const deliveries = await api.deliveriesOf(event.id);
  const idOf = (webhook: { id: string }) => deliveries.find((delivery) => delivery.webhook_id === webhook.id)!.id;

  const delivered = {
    healthy: await api.untilStatus(idOf(webhooks.healthy), 'delivered'),
    slow: await api.untilStatus(idOf(webhooks.slow), 'delivered'),
  };
  const failed = await api.untilStatus(idOf(webhooks.down), 'failed');

  expect(delivered.healthy.attempts).toMatchObject([{ number: 1, status_code: 204, error: null }]);
  expect(delivered.slow.attempts).toMatchObject([{ number: 1, status_code: 200, error: null }]);
  expect(failed).toMatchObject({ failed_because: 'exhausted', attempt_count: 3, next_attempt_at: null });
  const refused = { status_code: null, error: { code: 'connection_refused' } };
  expect(failed.attempts).toMatchObject([1, 2, 3].map((number) => ({ number, ...refused })));

  expect(numbersOf(healthy.requests)).toEqual([1]);
  expect(numbersOf(slow.requests)).toEqual([1]);
  // Neither the dead nor the slow one held up the healthy one.
  const endOf = async (id: string) =>
    Date.parse((await api.ok<{ ended_at: string }>('GET', `/deliveries/${id}`)).ended_at);
  const ends = await Promise.all([webhooks.healthy, webhooks.down, webhooks.slow].map((hook) => endOf(idOf(hook))));
  expect(ends[0]).toBeLessThan(Math.min(ends[1]!, ends[2]!));
});
