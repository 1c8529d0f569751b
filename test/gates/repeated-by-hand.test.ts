import { installationForFile, receiverForEach } from '../support/for-tests';
import { until } from '../support/until';

const posthorn = installationForFile();
const receiver = receiverForEach(() => ({ status: 500 }));

const ONE_ATTEMPT = { schedule: [] };
/** More than the breaker and the disabling take, whose numbers are 3 here. */
const TIMES = 5;
const LIMITS = { circuit_breaker: { failures: 3, open_for: '1d' }, disable_after: { failed_deliveries: 3 } };

const read = (id: string) => posthorn.api.ok('GET', `/webhooks/${id}`);
const attempted = (delivery: string, status: string, count: number) =>
  until(`${count} attempts of ${delivery}`, async () => {
    const found = await posthorn.api.delivery(delivery);
    return found.status === status && found.attempt_count === count;
  });

describe.each(['workflow', 'express'])('one delivery on the %s path', (mode) => {
  const once = async (type: string, settings: object) => {
    const { api } = posthorn;
    const { id } = await api.createWebhook(receiver, { events: [type], mode, ...LIMITS, ...settings });
    const event = await api.publish(type);
    return { id, event: event.id, delivery: await api.onlyDelivery(event.id) };
  };

  test('that is retried by hand after each failure is one failed delivery', async () => {
    const { api } = posthorn;
    const { id, delivery } = await once(`hand.${mode}`, { retry_policy: ONE_ATTEMPT });
    await attempted(delivery, 'failed', 1);
    for (let n = 2; n <= TIMES; n++) {
      await api.ok('POST', `/deliveries/${delivery}/retry`);
      await attempted(delivery, 'failed', n);
    }
    expect(await read(id)).toMatchObject({
      status: 'active',
      health: { circuit: 'closed', failures_in_a_row: 1, failed_deliveries_in_a_row: 1 },
    });
  });

  test('whose event is replayed by hand again and again is one failed delivery', async () => {
    const { api } = posthorn;
    const { id, event, delivery } = await once(`event.${mode}`, { retry_policy: ONE_ATTEMPT });
    await attempted(delivery, 'failed', 1);
    for (let n = 2; n <= TIMES; n++) {
      await api.ok('POST', `/events/${event}/replay`);
      await attempted(delivery, 'failed', n);
    }
    expect(await read(id)).toMatchObject({
      status: 'active',
      health: { circuit: 'closed', failures_in_a_row: 1, failed_deliveries_in_a_row: 1 },
    });
  });

  test('that is retried by hand while it waits for its retry is one failure', async () => {
    const { api } = posthorn;
    const { id, delivery } = await once(`waits.${mode}`, { retry_policy: { schedule: ['1h'], jitter: 0 } });
    await attempted(delivery, 'retrying', 1);
    for (let n = 2; n <= TIMES; n++) {
      await api.ok('POST', `/deliveries/${delivery}/retry`);
      await attempted(delivery, 'retrying', n);
    }
    expect(await read(id)).toMatchObject({ health: { circuit: 'closed', failures_in_a_row: 1 } });
  });
});

test('several deliveries that are retried by hand count as so many', async () => {
  const { api } = posthorn;
  receiver.setHandler(() => ({ status: 204 }));
  const settings = { events: ['many'], retry_policy: ONE_ATTEMPT, ...LIMITS, circuit_breaker: null };
  const { id } = await api.createWebhook(receiver, settings);
  const deliveries = await api.publishDeliveries('many', 3);
  for (const delivery of deliveries) await attempted(delivery, 'delivered', 1);
  receiver.setHandler(() => ({ status: 500 }));
  for (const [i, delivery] of deliveries.entries()) {
    expect(await read(id)).toMatchObject({ status: 'active', health: { failed_deliveries_in_a_row: i } });
    await api.ok('POST', `/deliveries/${delivery}/retry`);
    await attempted(delivery, 'failed', 2);
  }
  expect(await read(id)).toMatchObject({ status: 'disabled', status_reason: 'failed_deliveries' });
});

test('what else a repetition by hand says counts: a 410 disables, and a success sets the counts to 0', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook(receiver, { events: ['says'], retry_policy: ONE_ATTEMPT, ...LIMITS });
  const [first, second] = await api.publishDeliveries('says', 2);
  for (const delivery of [first!, second!]) await attempted(delivery, 'failed', 1);
  expect(await read(id)).toMatchObject({ health: { failures_in_a_row: 2, failed_deliveries_in_a_row: 2 } });
  receiver.setHandler(() => ({ status: 204 }));
  await api.ok('POST', `/deliveries/${first}/retry`);
  await attempted(first!, 'delivered', 2);
  expect(await read(id)).toMatchObject({ health: { failures_in_a_row: 0, failed_deliveries_in_a_row: 0 } });
  receiver.setHandler(() => ({ status: 410 }));
  await api.ok('POST', `/deliveries/${second}/retry`);
  await attempted(second!, 'failed', 2);
  expect(await read(id)).toMatchObject({ status: 'disabled', status_reason: 'gone' });
});
