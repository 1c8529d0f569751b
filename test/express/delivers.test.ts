import { WorkflowNotFoundError } from '@temporalio/client';
import { Webhook } from 'standardwebhooks';
import { installationForFile, receiverForEach } from '../support/for-tests';
import { connectTemporal } from '../support/temporal';

const posthorn = installationForFile({ POSTHORN_RECONCILE_EVERY: '1s' });
const receiver = receiverForEach(() => ({ status: 200, headers: { 'x-why': 'test' }, body: 'thanks' }));
let temporal: Awaited<ReturnType<typeof connectTemporal>>;
beforeAll(async () => {
  temporal = await connectTemporal();
});
afterAll(() => temporal?.close());

test('a success is signed, recorded like one of a workflow, and in Temporal there is nothing of it', async () => {
  const { api } = posthorn;
  const shown: Record<string, unknown>[] = [];
  for (const path of ['express', 'workflow']) {
    const type = `path.${path}`;
    const headers = { 'X-Own': 'value' };
    const { secret } = await api.createWebhook(receiver, { events: [type], mode: path, headers });
    const id = await api.onlyDelivery((await api.publish(type, { n: 1 })).id);
    await api.untilStatus(id, 'delivered');
    const request = receiver.requests.at(-1)!;
    new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
    expect(request.headers).toMatchObject({ 'x-own': 'value', 'x-webhook-attempt': '1', 'x-webhook-delivery': id });
    const found = await temporal.client.workflow
      .getHandle(id)
      .describe()
      .catch((error: unknown) => error);
    expect(found instanceof WorkflowNotFoundError).toBe(path === 'express');
    shown.push((await api.delivery(id)) as unknown as Record<string, unknown>);
  }
  const [express, workflow] = shown.map(withoutItsOwn);
  expect(shown.map(({ path }) => path)).toEqual(['express', 'workflow']);
  expect(express).toEqual(workflow);
});

/** What differs between any two deliveries, as its type instead. */
function withoutItsOwn({ path: _, ...delivery }: Record<string, unknown>): unknown {
  return JSON.parse(
    JSON.stringify(delivery, (key, value: unknown) => {
      if (/_at$|^duration_ms$|_ms$|timestamp|^date$|^x-webhook-event$|^event_type$/i.test(key)) return typeof value;
      if (typeof value !== 'string') return value;
      return value
        .replaceAll(/\b(evt|del|wh|att)_[0-9a-z]{26}/g, '$1')
        .replaceAll(/path\.\w+|\d{4}-\d\d-\d\dT[^"]+Z/g, '');
    }),
  );
}

test('what is published one after the other arrives in that order', async () => {
  const { api } = posthorn;
  await api.createWebhook(receiver, { events: ['in.turn'], mode: 'express', max_in_flight: 1 });
  const numbers = Array.from({ length: 40 }, (_, n) => n);
  for (const n of numbers) await api.publish('in.turn', { n });
  await receiver.waitFor(numbers.length);
  expect(receiver.requests.map(({ body }) => JSON.parse(body.toString()).data.n)).toEqual(numbers);
});

test('an event for many webhooks reaches each once', async () => {
  const { api } = posthorn;
  const ids: string[] = [];
  for (let n = 0; n < 25; n++) {
    const url = `${receiver.url}/${n}`;
    ids.push((await api.createWebhook(receiver, { url, events: ['to.many'], mode: 'express' })).id);
  }
  const events = await Promise.all(Array.from({ length: 20 }, () => api.publish('to.many')));
  await receiver.waitFor(25 * 20);
  for (const { id } of events) {
    const own = receiver.requests.filter(({ headers }) => headers['webhook-id'] === id);
    expect(new Set(own.map(({ path }) => path)).size).toBe(25);
    expect(own).toHaveLength(25);
  }
});

test('a webhook that is deleted while its deliveries wait gets none, and they are cancelled', async () => {
  const { api } = posthorn;
  const webhook = await api.createWebhook(receiver, { events: ['deleted'], mode: 'express', active: false });
  const [id] = await api.publishDeliveries('deleted', 1);
  await api.ok('DELETE', `/webhooks/${webhook.id}`);
  await api.untilStatus(id!, 'cancelled', 60_000);
  expect(receiver.requests).toEqual([]);
});
