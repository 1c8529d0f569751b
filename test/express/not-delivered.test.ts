import { installationForFile, receiverForEach } from '../support/for-tests';
import { connectTemporal } from '../support/temporal';
import { until } from '../support/until';

const posthorn = installationForFile({ POSTHORN_DELIVERY_MODE: 'express' });
const receiver = receiverForEach();
let temporal: Awaited<ReturnType<typeof connectTemporal>>;
beforeAll(async () => {
  temporal = await connectTemporal();
});
afterAll(() => temporal?.close());

let made = 0;
async function publishTo(settings: object): Promise<{ id: string; webhook: string }> {
  const type = `failing.n${++made}`;
  const { id: webhook } = await posthorn.api.createWebhook(receiver, { events: [type], ...settings });
  const [id] = await posthorn.api.publishDeliveries(type, 1);
  return { id: id!, webhook };
}
const numbers = () => receiver.requests.map(({ headers }) => Number(headers['x-webhook-attempt']));

test('a failed delivery goes on as a workflow that begins with its timer', async () => {
  receiver.setHandler((_, n) => ({ status: n === 1 ? 500 : 204 }));
  const { id } = await publishTo({ retry_policy: { schedule: ['2s'], jitter: 0 } });
  const retrying = await posthorn.api.untilStatus(id, 'retrying');
  expect(retrying).toMatchObject({ attempt_count: 1, path: 'express', last_status_code: 500 });
  const delivered = await posthorn.api.untilStatus(id, 'delivered');
  expect(delivered).toMatchObject({ attempt_count: 2, path: 'workflow' });
  expect(numbers()).toEqual([1, 2]);
  const [first, second] = receiver.requests;
  expect(second!.at - first!.at).toBeGreaterThanOrEqual(1_900);

  const { events } = await temporal.client.workflow.getHandle(id).fetchHistory();
  const kinds = events!.flatMap((event) => {
    if (event.timerStartedEventAttributes) return 'timer';
    if (event.activityTaskScheduledEventAttributes)
      return event.activityTaskScheduledEventAttributes.activityType!.name!;
    return event.markerRecordedEventAttributes ? 'local activity' : [];
  });
  expect(kinds).toEqual(['timer', 'attempt']);
});

test('the workflow of a delivery that waits answers; the delivery can be retried, moved and cancelled', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 503 }));
  const { id } = await publishTo({
    retry_policy: { schedule: ['1h', '1h', '1h', '1h'], jitter: 0 },
    circuit_breaker: null,
  });
  await api.untilStatus(id, 'retrying');
  const status = await until('its workflow to answer', async () => {
    const answer = await api.ok('GET', `/deliveries/${id}/status`);
    return answer.source === 'workflow' ? answer : undefined;
  });
  expect(status).toMatchObject({ status: 'retrying', attempt_count: 1, last_attempt: { number: 1, status_code: 503 } });
  const later = new Date(Date.now() + 7_200_000).toISOString();
  await api.ok('POST', `/deliveries/${id}/reschedule`, { at: later });
  await until('its new time', async () => (await api.delivery(id)).next_attempt_at === later);
  await api.ok('POST', `/deliveries/${id}/retry`);
  await receiver.waitFor(2);
  await until('its second attempt', async () => (await api.delivery(id)).attempt_count === 2);
  await api.ok('POST', `/deliveries/${id}/cancel`);
  await api.untilStatus(id, 'cancelled');
  expect(numbers()).toEqual([1, 2]);
});

test('410 disables; a schedule that is used up ends in a dead letter; a replay of it goes by express again', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 410 }));
  const gone = await publishTo({});
  await api.untilStatus(gone.id, 'failed');
  expect(await api.ok('GET', `/webhooks/${gone.webhook}`)).toMatchObject({ status: 'disabled', status_reason: 'gone' });

  receiver.setHandler(() => ({ status: 400 }));
  const dead = await publishTo({ retry_policy: { schedule: [] } });
  expect(await api.untilStatus(dead.id, 'failed')).toMatchObject({ failed_because: 'exhausted', path: 'express' });
  const letters = await api.ok<{ data: { id: string }[] }>('GET', `/dead-letters?webhook_id=${dead.webhook}`);
  expect(letters.data).toMatchObject([{ id: dead.id, failed_because: 'exhausted', last_status_code: 400 }]);
  receiver.setHandler(() => ({ status: 204 }));
  await api.ok('POST', `/deliveries/${dead.id}/retry`);
  const delivered = await api.untilStatus(dead.id, 'delivered');
  expect(delivered).toMatchObject({ attempt_count: 2, path: 'express', attempts: [{}, { trigger: 'manual' }] });
});

test('Retry-After and timeouts count as they do in a workflow', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 429, headers: { 'retry-after': '120' } }));
  const asked = await publishTo({ retry_policy: { schedule: ['1s'], jitter: 0 } });
  const waiting = await api.untilStatus(asked.id, 'retrying');
  expect(Date.parse(waiting.next_attempt_at!) - Date.now()).toBeGreaterThan(100_000);
  expect((await api.ok('GET', `/webhooks/${asked.webhook}`)).health.throttled_until).not.toBeNull();

  receiver.setHandler(() => 'hang');
  const hanging = await publishTo({ timeout: '1s', retry_policy: { schedule: ['1h'] } });
  expect(await api.untilStatus(hanging.id, 'retrying')).toMatchObject({ last_error_code: 'headers_timeout' });
});
