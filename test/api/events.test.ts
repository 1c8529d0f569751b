import { type Installation, startInstallation } from '../support/installation';
import { otherTenant, send } from './support';

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
});
afterAll(() => posthorn?.stop());

const url = 'https://example.com/';

test('an event goes to every webhook with a pattern that matches it, once each', async () => {
  const { api } = posthorn;
  const subscribe = async (...events: string[]) => (await api.createWebhook({ url }, { events })).id;
  const all = await subscribe('*');
  const orders = await subscribe('order.*');
  const items = await subscribe('order.item.*');
  const created = await subscribe('order.created');
  const several = await subscribe('order.created', 'order.*', '*', 'payment.failed');
  const receivers: [type: string, webhooks: string[]][] = [
    ['order.created', [all, orders, created, several]],
    ['order.item.added', [all, orders, items, several]],
    ['order', [all, several]],
    ['orders.created', [all, several]],
    ['payment.failed', [all, several]],
    ['payment.failed.twice', [all, several]],
  ];
  for (const [type, webhooks] of receivers) {
    const event = await api.publish(type);
    expect(event.deliveries).toBe(webhooks.length);
    const deliveries = await api.deliveriesOf(event.id);
    expect(deliveries.map((delivery) => delivery.webhook_id).sort()).toEqual([...webhooks].sort());
  }
});

test('other patterns count from the next event on', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook({ url }, { events: ['change.before'] });
  const reached = async (type: string) => {
    const deliveries = await api.deliveriesOf((await api.publish(type)).id);
    return deliveries.some((delivery) => delivery.webhook_id === id);
  };
  expect(await reached('change.before')).toBe(true);
  await api.ok('PATCH', `/webhooks/${id}`, { events: ['change.after'] });
  expect(await reached('change.before')).toBe(false);
  expect(await reached('change.after')).toBe(true);
});

test('an event is shown with the bytes that receivers get', async () => {
  const { api } = posthorn;
  const { id } = await api.publish('shown.once', { n: 1, text: 'Grüße 💡' });
  const event = await api.ok('GET', `/events/${id}`);
  expect(event).toMatchObject({ id, type: 'shown.once' });
  expect(JSON.parse(event.payload)).toEqual({
    id,
    type: 'shown.once',
    timestamp: event.timestamp,
    version: '1.0',
    data: { n: 1, text: 'Grüße 💡' },
  });
});

test('a byte order mark is not part of the data', async () => {
  const { api } = posthorn;
  const body = Buffer.from('\ufeff{"type":"bom","data":{"x":1}}');
  const answer = await send(api, 'POST', '/api/v1/events', { body, headers: { 'content-type': 'application/json' } });
  expect(answer.status).toBe(202);
  expect((await api.ok('GET', `/events/${answer.body.id}`)).payload).toMatch(/"data":\{"x":1\}\}$/);
});

test('data may have 256 kB, in any script, and the longest type and id', async () => {
  const { api } = posthorn;
  const data = { x: 'é'.repeat((256 * 1024 - 8) / 2) };
  expect(Buffer.byteLength(JSON.stringify(data))).toBe(256 * 1024);
  const event = { type: 'x'.repeat(128), id: 'ü'.repeat(256), data };
  expect(await api.call('POST', '/events', event)).toMatchObject({ status: 202 });
  expect(await api.call('POST', '/events', event)).toMatchObject({ status: 200, body: { duplicate: true } });
});

test('a producer’s own id is one event within a tenant, and another in another', async () => {
  const { api } = posthorn;
  const other = await otherTenant(posthorn);
  const first = await api.ok('POST', '/events', { type: 'dup', data: {}, id: 'order-1' });
  const second = await api.ok('POST', '/events', { type: 'dup', data: { other: true }, id: 'order-1' });
  expect(second).toMatchObject({ id: first.id, duplicate: true });
  expect((await api.ok('GET', `/events/${first.id}`)).payload).toContain('"data":{}');
  const elsewhere = await other.call('POST', '/events', { type: 'dup', data: {}, id: 'order-1' });
  expect(elsewhere.status).toBe(202);
  expect(elsewhere.body.id).not.toBe(first.id);
});

test('events are listed newest first, by type and time, page by page', async () => {
  const { api } = posthorn;
  const since = new Date();
  const made: string[] = [];
  for (let i = 0; i < 5; i++) made.unshift((await api.publish('listed.event')).id);
  await api.publish('listed.other');
  const walked: string[] = [];
  let path: string | undefined = `/events?type=listed.event&limit=2&since=${since.toISOString()}`;
  const first = path;
  while (path) {
    const page: { data: { id: string; type: string }[]; next_cursor: string | null } = await api.ok('GET', path);
    walked.push(...page.data.map((event) => event.id));
    path = page.next_cursor ? `${first}&cursor=${page.next_cursor}` : undefined;
  }
  expect(walked).toEqual(made);
  expect(await api.ok('GET', `/events?until=${new Date(since.getTime() - 3_600_000).toISOString()}`)).toMatchObject({
    data: [],
  });
});
