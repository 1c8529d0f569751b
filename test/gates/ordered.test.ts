import { installationForFile, receiverForEach } from '../support/for-tests';
import { until } from '../support/until';

const posthorn = installationForFile();
const receiver = receiverForEach();

const numberOf = (body: Buffer) => (JSON.parse(body.toString()) as { data: { n: number } }).data.n;
const numbers = () => receiver.requests.map(({ body }) => numberOf(body));

const publish = (type: string, count: number) => posthorn.api.publishDeliveries(type, count);

test('an ordered webhook gets one at a time in publish order, and its head is tried again first', async () => {
  const { api } = posthorn;
  let underWay = 0;
  let most = 0;
  const failures = new Map([
    [0, 1],
    [3, 2],
  ]);
  receiver.setHandler(async ({ body }) => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setTimeout(resolve, 20));
    underWay--;
    const n = numberOf(body);
    const left = failures.get(n) ?? 0;
    failures.set(n, left - 1);
    return { status: left > 0 ? 500 : 204 };
  });
  const retry_policy = { schedule: ['300ms', '300ms', '300ms'], jitter: 0 };
  await api.createWebhook(receiver, { events: ['in.order'], ordered: true, retry_policy });
  const ids = await publish('in.order', 8);
  for (const id of ids) await api.untilStatus(id, 'delivered');
  expect(numbers()).toEqual([0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 7]);
  expect(most).toBe(1);
});

test('those behind the head say so; the operator skips it, and a head that fails for good lets the next one go', async () => {
  const { api } = posthorn;
  receiver.setHandler(({ body }) => ({ status: numberOf(body) < 2 ? 400 : 204 }));
  const webhook = await api.createWebhook(receiver, {
    events: ['head'],
    ordered: true,
    retry_policy: { schedule: ['1h'] },
  });
  const [first, second, third] = await publish('head', 3);
  await api.untilStatus(first!, 'retrying');
  expect(await api.delivery(second!)).toMatchObject({ status: 'held', held_because: 'ordered' });

  expect(await api.ok('POST', `/webhooks/${webhook.id}/skip`)).toEqual({ skipped: first });
  await api.untilStatus(first!, 'cancelled');
  await api.untilStatus(second!, 'retrying');
  expect(await api.delivery(third!)).toMatchObject({ status: 'held', held_because: 'ordered' });

  // From the next attempt on, a 400 is the end; a retry by hand is that attempt.
  await api.ok('PATCH', `/webhooks/${webhook.id}`, { retry_policy: { schedule: ['1h'], client_errors: 'fail' } });
  await api.ok('POST', `/deliveries/${second}/retry`);
  expect(await api.untilStatus(second!, 'failed')).toMatchObject({ failed_because: 'client_error' });
  await api.untilStatus(third!, 'delivered');
  expect(numbers()).toEqual([0, 1, 1, 2]);
});

test('a webhook that becomes ordered while deliveries wait sends the oldest first', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 500 }));
  const webhook = await api.createWebhook(receiver, {
    events: ['later.ordered'],
    retry_policy: { schedule: ['2s', '1h'], jitter: 0 },
  });
  const ids = await publish('later.ordered', 3);
  for (const id of ids) await api.untilStatus(id, 'retrying');
  await api.ok('PATCH', `/webhooks/${webhook.id}`, { ordered: true });
  receiver.setHandler(() => ({ status: 204 }));
  const before = receiver.requests.length;
  for (const id of ids) await api.untilStatus(id, 'delivered');
  expect(numbers().slice(before)).toEqual([0, 1, 2]);
});

test('an ordered webhook that is paused while its head waits goes on with that head', async () => {
  const { api } = posthorn;
  receiver.setHandler(({ headers }) => ({ status: headers['x-webhook-attempt'] === '1' ? 500 : 204 }));
  const webhook = await api.createWebhook(receiver, {
    events: ['paused.head'],
    ordered: true,
    retry_policy: { schedule: ['1s', '1s'], jitter: 0 },
  });
  const ids = await publish('paused.head', 3);
  await api.untilStatus(ids[0]!, 'retrying');
  await api.ok('POST', `/webhooks/${webhook.id}/pause`);
  await until('the head to be held', async () => (await api.delivery(ids[0]!)).held_because === 'paused');
  await api.ok('POST', `/webhooks/${webhook.id}/resume`);
  for (const id of ids) await api.untilStatus(id, 'delivered');
  expect(numbers()).toEqual([0, 0, 1, 1, 2, 2]);
});
