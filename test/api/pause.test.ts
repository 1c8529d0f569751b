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

test('a pause holds what is published, loses nothing, and resuming delivers it all', async () => {
  const { api } = posthorn;
  const paused = await api.createWebhook(receiver, { events: ['pause.*'] });
  await api.ok('PATCH', `/webhooks/${paused.id}`, { active: false });
  const beside = await api.createWebhook({ url: `${receiver.url}/beside` }, { events: ['pause.*'] });

  const events: string[] = [];
  for (let n = 0; n < 5; n++) events.push((await api.publish('pause.test', { n })).id);
  // The webhook beside it got everything, so the relay has been there and left the paused one alone.
  await receiver.waitFor(events.length);
  expect(receiver.requests.map(({ path }) => path)).toEqual(events.map(() => '/beside/hook'));
  const held = await api.ok('GET', `/webhooks/${paused.id}/deliveries`);
  expect(held.data).toHaveLength(events.length);
  for (const delivery of held.data)
    expect(delivery).toMatchObject({ status: 'held', held_because: 'paused', attempt_count: 0 });
  expect((await api.ok('GET', `/webhooks/${beside.id}/deliveries?status=held`)).data).toEqual([]);

  await api.ok('PATCH', `/webhooks/${paused.id}`, { active: true });
  for (const { id } of held.data) await api.untilStatus(id, 'delivered');
  const resumed = receiver.requests.filter(({ path }) => path === '/hook').map((r) => r.headers['webhook-id']);
  expect([...resumed].sort()).toEqual([...events].sort());
});

test('a delivery whose timer ends behind a pause is held with its attempts, and goes on afterwards', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 500 }));
  const webhook = await api.createWebhook(receiver, { events: ['timer'], retry_policy: { schedule: ['1h', '1h'] } });
  const id = await api.onlyDelivery((await api.publish('timer')).id);
  await api.untilStatus(id, 'retrying');
  await api.ok('PATCH', `/webhooks/${webhook.id}`, { active: false });
  // What its timer would do in an hour.
  await api.ok('POST', `/deliveries/${id}/reschedule`, { at: new Date() });
  expect(await api.untilStatus(id, 'held')).toMatchObject({ held_because: 'paused', attempt_count: 1 });
  receiver.setHandler(() => ({ status: 204 }));
  await api.ok('PATCH', `/webhooks/${webhook.id}`, { active: true });
  expect(await api.untilStatus(id, 'delivered')).toMatchObject({ attempt_count: 2 });
});
