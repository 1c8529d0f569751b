import { Webhook } from 'standardwebhooks';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';

let posthorn: Installation;
let receiver: Receiver;

beforeAll(async () => {
  posthorn = await startInstallation();
  receiver = await startReceiver();
});
afterAll(async () => {
  await posthorn?.stop();
  await receiver?.close();
});

test('a published event arrives, signed, with the bytes its producer wrote', async () => {
  const { api } = posthorn;
  const webhook = await api.createWebhook(receiver, { events: ['exact.*'] });
  // Numbers and spacing that parsing and printing again would change.
  const data = '{ "id": 12345678901234567890, "price": 1.0,\n "nested": {"data": "}"} }';
  const answer = await api.call('POST', '/events', `{"data":${data} ,"type":"exact.bytes"}`);
  expect(answer.status).toBe(202);
  expect(answer.body).toMatchObject({ type: 'exact.bytes', deliveries: 1 });

  const [request] = await receiver.waitFor(1);
  const body = request!.body.toString('utf8');
  expect(body.endsWith(`"data":${data}}`)).toBe(true);
  const headers = Object.fromEntries(Object.entries(request!.headers).map(([name, value]) => [name, String(value)]));
  expect(new Webhook(webhook.secret).verify(body, headers)).toMatchObject({ id: answer.body.id, version: '1.0' });
  expect(headers).toMatchObject({
    'webhook-id': answer.body.id,
    'x-webhook-event': 'exact.bytes',
    'x-webhook-attempt': '1',
  });
  const delivery = await api.untilStatus(await api.onlyDelivery(answer.body.id), 'delivered');
  expect(delivery.attempts).toMatchObject([{ number: 1, trigger: 'schedule', status_code: 204 }]);
});

test('a producer’s own id is published once', async () => {
  const { api } = posthorn;
  const event = { type: 'dup.once', data: {}, id: 'order-77' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => api.call('POST', '/events', event)));
  expect(answers.filter((answer) => answer.status === 202)).toHaveLength(1);
  expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
  expect(answers.filter((answer) => answer.body.duplicate === true)).toHaveLength(19);
});
