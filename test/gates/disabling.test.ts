import { Webhook } from 'standardwebhooks';
import { type Installation, startInstallation } from '../support/installation';
import { type ReceivedRequest, type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

let posthorn: Installation;
let receiver: Receiver;
let operator: Receiver;
let operatorSecret: string;

beforeAll(async () => {
  posthorn = await startInstallation();
  receiver = await startReceiver();
  operator = await startReceiver();
  const webhook = await posthorn.api.createWebhook(operator, { events: ['posthorn.*'] });
  operatorSecret = webhook.secret;
});
afterAll(async () => {
  await posthorn?.stop();
  await receiver?.close();
  await operator?.close();
});

type Told = { type: string; data: Record<string, unknown> };

/** What the operator was told about one webhook, each with a signature that is good. */
function told(webhookId: string): Told[] {
  const events = operator.requests.map(({ body, headers }) => {
    new Webhook(operatorSecret).verify(body, headers as Record<string, string>);
    return JSON.parse(body.toString()) as Told;
  });
  return events.filter(({ data }) => data.webhook_id === webhookId);
}

const untilTold = (webhookId: string, count: number) =>
  until(`${count} operational events`, () => told(webhookId).length >= count && told(webhookId));

const publish = (type: string, count: number) => posthorn.api.publishDeliveries(type, count);

test('410 disables the webhook; what waits is kept, and goes once it is enabled', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 410 }));
  const { id } = await api.createWebhook(receiver, { events: ['gone'] });
  const [first] = await publish('gone', 1);
  expect(await api.untilStatus(first!, 'failed')).toMatchObject({ failed_because: 'gone', attempt_count: 1 });
  const webhook = await api.ok('GET', `/webhooks/${id}`);
  expect(webhook).toMatchObject({ status: 'disabled', active: false, status_reason: 'gone' });
  expect(Date.parse(webhook.status_since)).toBeGreaterThan(Date.parse(webhook.created_at));
  const [second] = await publish('gone', 1);
  expect(await api.delivery(second!)).toMatchObject({ status: 'held', held_because: 'disabled' });

  const events = await untilTold(id, 2);
  expect(events.map(({ type }) => type).sort()).toEqual(['posthorn.delivery.failed', 'posthorn.webhook.disabled']);
  expect(events.find(({ type }) => type.endsWith('disabled'))!.data).toMatchObject({ reason: 'gone' });
  expect(events.find(({ type }) => type.endsWith('failed'))!.data).toMatchObject({
    delivery_id: first,
    event_id: expect.stringMatching(/^evt_/),
    event_type: 'gone',
    failed_because: 'gone',
    status_code: 410,
    attempt_count: 1,
  });

  receiver.setHandler(() => ({ status: 204 }));
  expect(await api.ok('POST', `/webhooks/${id}/enable`)).toMatchObject({ status: 'active', status_reason: null });
  await api.untilStatus(second!, 'delivered');
});

test('deliveries that fail in a row disable the webhook, by default the tenth', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 500 }));
  const settings = { events: ['ten'], retry_policy: { schedule: [] }, circuit_breaker: null, max_in_flight: 1 };
  const { id } = await api.createWebhook(receiver, settings);
  const ids = await publish('ten', 12);
  for (const failed of ids.slice(0, 10)) await api.untilStatus(failed, 'failed');
  expect(await api.ok('GET', `/webhooks/${id}`)).toMatchObject({
    status: 'disabled',
    status_reason: 'failed_deliveries',
    health: { failed_deliveries_in_a_row: 10 },
  });
  for (const held of ids.slice(10)) {
    expect(await api.untilStatus(held, 'held')).toMatchObject({ held_because: 'disabled', attempt_count: 0 });
  }
});

test('a breaker that opens and closes is told of, once each', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 500 }));
  const { id } = await api.createWebhook(receiver, {
    events: ['failing'],
    retry_policy: { schedule: ['1s', '1s', '1s', '1s', '1s'], jitter: 0 },
    circuit_breaker: { failures: 1, open_for: '1s' },
  });
  const [delivery] = await publish('failing', 1);
  await untilTold(id, 1);
  receiver.setHandler(() => ({ status: 204 }));
  await api.untilStatus(delivery!, 'delivered');
  const events = await untilTold(id, 2);
  expect(events.map(({ type }) => type)).toEqual(['posthorn.webhook.failing', 'posthorn.webhook.recovered']);
});

test('operational events cause none of their own, and a subscription to everything does not get them', async () => {
  const { api } = posthorn;
  // An operator's endpoint that is itself gone, and one that takes whatever the producer publishes.
  const gone = await startReceiver(() => ({ status: 410 }));
  const everything = await startReceiver();
  try {
    const broken = await api.createWebhook(gone, { events: ['posthorn.delivery.*'] });
    await api.createWebhook(everything, { events: ['*'] });
    receiver.setHandler(() => ({ status: 400 }));
    const { id } = await api.createWebhook(receiver, {
      events: ['recursion'],
      retry_policy: { schedule: [], client_errors: 'fail' },
    });
    await api.publish('recursion');
    await untilTold(id, 1);
    await until('the broken endpoint to be disabled', async () => {
      const { status } = await api.ok<{ status: string }>('GET', `/webhooks/${broken.id}`);
      return status === 'disabled';
    });
    // Anything it caused would be published before what happens next.
    await api.publish('recursion');
    await untilTold(id, 2);
    expect(told(broken.id)).toEqual([]);
    expect(types(everything.requests)).toEqual(['recursion', 'recursion']);
  } finally {
    await gone.close();
    await everything.close();
  }
});

const types = (requests: ReceivedRequest[]) => requests.map(({ headers }) => headers['x-webhook-event']);
