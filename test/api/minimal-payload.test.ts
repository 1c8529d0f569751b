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

const DATA = '{ "order_id": 12345678901234567890, "customer": {"id": "c", "name": "n"}, "total": 1.0 }';
const CUT = '"data":{"order_id":12345678901234567890,"customer":{"id": "c"}}}'.replace('{"id": "c"}', '{"id":"c"}');

test('minimal and full arrive side by side, and a retry has the same bytes whatever changed meanwhile', async () => {
  const { api } = posthorn;
  await api.ok('POST', '/event-types', { name: 'cut.order', key_fields: ['order_id', 'customer.id'] });
  const full = await api.createWebhook(receiver, { events: ['cut.order'] });
  const minimal = await api.createWebhook(receiver, {
    events: ['cut.order', 'cut.*'],
    payload: 'minimal',
    retry_policy: { schedule: ['1h'] },
  });
  expect(await api.ok('GET', `/webhooks/${minimal.id}`)).toMatchObject({ payload: 'minimal' });
  receiver.setHandler((_request, n) => ({ status: n <= 2 ? 500 : 204 }));
  const { id } = (await api.call('POST', '/events', `{"type":"cut.order","data":${DATA}}`)).body;
  await receiver.waitFor(2);
  const deliveries = await api.deliveriesOf(id);
  const deliveryOf = (hook: { id: string }) => deliveries.find(({ webhook_id }) => webhook_id === hook.id)!.id;
  const bodyOf = (hook: { id: string }) =>
    receiver.requests.find(({ headers }) => headers['x-webhook-delivery'] === deliveryOf(hook))!.body.toString('utf8');
  expect(bodyOf(full).endsWith(`"data":${DATA}}`)).toBe(true);
  expect(bodyOf(minimal).endsWith(CUT)).toBe(true);
  await api.untilStatus(deliveryOf(minimal), 'retrying');
  const shown: any = await api.delivery(deliveryOf(minimal));
  expect(shown.attempts[0].request.body).toBe(bodyOf(minimal));

  await api.ok('PATCH', '/event-types/cut.order', { key_fields: ['total'] });
  await api.ok('PATCH', `/webhooks/${minimal.id}`, { payload: 'full' });
  await api.ok('POST', `/deliveries/${deliveryOf(minimal)}/retry`);
  await api.untilStatus(deliveryOf(minimal), 'delivered');
  const sent = receiver.requests.filter(({ headers }) => headers['x-webhook-delivery'] === deliveryOf(minimal));
  expect(sent).toHaveLength(2);
  expect(sent[1]!.body).toEqual(sent[0]!.body);
  const headers = Object.fromEntries(Object.entries(sent[1]!.headers).map(([name, value]) => [name, String(value)]));
  expect(new Webhook(minimal.secret).verify(sent[1]!.body.toString('utf8'), headers)).toMatchObject({ id });
});

test('an event that asks for it is minimal for all, and nothing else of it is kept', async () => {
  const { api } = posthorn;
  await api.ok('POST', '/event-types', { name: 'forced', key_fields: ['order_id', 'customer.id'] });
  await api.createWebhook(receiver, { events: ['forced'] });
  const before = receiver.requests.length;
  // Filters look at all of the data.
  await api.createWebhook(receiver, { events: ['forced'], filter: { 'data.total': 2 } });
  const event = await api.call('POST', '/events', `{"type":"forced","payload":"minimal","data":${DATA}}`);
  expect(event.body).toMatchObject({ deliveries: 1 });
  const requests = await receiver.waitFor(before + 1);
  expect(requests[before]!.body.toString('utf8').endsWith(CUT)).toBe(true);
  expect((await api.ok('GET', `/events/${event.body.id}`)).payload.endsWith(CUT)).toBe(true);
});

test('without key fields, nothing is left of the data', async () => {
  const { api } = posthorn;
  await api.createWebhook(receiver, { events: ['undescribed'], payload: 'minimal' });
  const before = receiver.requests.length;
  await api.publish('undescribed', { a: 1 });
  const requests = await receiver.waitFor(before + 1);
  expect(JSON.parse(requests[before]!.body.toString('utf8'))).toMatchObject({ type: 'undescribed', data: {} });
});

test('a webhook in minimal mode gets the key fields in a replay as well', async () => {
  const { api } = posthorn;
  await api.ok('POST', '/event-types', { name: 'replayed', key_fields: ['order_id'] });
  const { id } = await api.publish('replayed', { order_id: 'o', total: 1 });
  const { id: hook } = await api.createWebhook(receiver, { events: ['replayed'], payload: 'minimal' });
  const before = receiver.requests.length;
  await api.ok('POST', `/events/${id}/replay`, { webhook_ids: [hook] });
  const requests = await receiver.waitFor(before + 1);
  expect(JSON.parse(requests[before]!.body.toString('utf8')).data).toEqual({ order_id: 'o' });
});
