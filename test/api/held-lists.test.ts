import { installationForFile, receiverForEach } from '../support/for-tests';

// Deliveries of a deleted webhook stay as they are: the reconciler does not come within this test.
const posthorn = installationForFile({ POSTHORN_RECONCILE_EVERY: '1h' });
const receiver = receiverForEach(() => ({ status: 500 }));

const WAIT = { schedule: ['1h'], jitter: 0 };

type Shown = { id: string; status: string; held_because?: string };

/** What the lists say of each: the list of all, and the lists by state, which must agree. */
async function shown(webhook: string): Promise<Record<string, string>> {
  const { api } = posthorn;
  const list = async (query: string): Promise<Shown[]> =>
    (await api.ok('GET', `/deliveries?webhook_id=${webhook}${query}`)).data;
  const all = await list('');
  for (const { id, status } of all) {
    const found = await Promise.all(
      ['pending', 'held', 'retrying', 'cancelled'].map(async (state) =>
        (await list(`&state=${state}`)).some((one) => one.id === id) ? [state] : [],
      ),
    );
    expect([id, found.flat()]).toEqual([id, [status]]);
  }
  return Object.fromEntries(all.map(({ id, status, held_because }) => [id, [status, held_because].join(' ').trim()]));
}

test('behind a delivery that waits for its retry, an ordered webhook holds the others, also where it became ordered later', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook(receiver, { events: ['became.ordered'], retry_policy: WAIT });
  const [first] = await api.publishDeliveries('became.ordered', 1);
  await api.untilStatus(first!, 'retrying');
  await api.ok('PATCH', `/webhooks/${id}`, { ordered: true });
  const [second, third] = await api.publishDeliveries('became.ordered', 2);
  expect(await shown(id)).toEqual({
    [first!]: 'retrying',
    [second!]: 'held ordered',
    [third!]: 'held ordered',
  });
  await api.ok('POST', `/deliveries/${third}/retry`);
  expect(await api.delivery(third!)).toMatchObject({ status: 'held', held_because: 'ordered' });
});

test('of a paused ordered webhook the gate is the reason, and after that its order', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook(receiver, { events: ['paused.ordered'], ordered: true, retry_policy: WAIT });
  await api.ok('POST', `/webhooks/${id}/pause`);
  const [first, second] = await api.publishDeliveries('paused.ordered', 2);
  expect(await shown(id)).toEqual({ [first!]: 'held paused', [second!]: 'held paused' });
  await api.ok('POST', `/webhooks/${id}/resume`);
  await api.untilStatus(first!, 'retrying');
  expect(await shown(id)).toEqual({ [first!]: 'retrying', [second!]: 'held ordered' });
});

test('what waits for a deleted webhook is held until it is cancelled, and cannot be retried', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook(receiver, { events: ['deleted'], retry_policy: WAIT });
  const [retrying] = await api.publishDeliveries('deleted', 1);
  await api.untilStatus(retrying!, 'retrying');
  await api.ok('POST', `/webhooks/${id}/pause`);
  const [waiting] = await api.publishDeliveries('deleted', 1);
  expect(await shown(id)).toEqual({ [retrying!]: 'retrying', [waiting!]: 'held paused' });
  await api.ok('DELETE', `/webhooks/${id}`);
  expect(await shown(id)).toEqual({ [retrying!]: 'held deleted', [waiting!]: 'held deleted' });
  for (const delivery of [retrying, waiting]) {
    expect(await api.delivery(delivery!)).toMatchObject({ next_attempt_at: null });
    const { status, body } = await api.call('POST', `/deliveries/${delivery}/retry`);
    expect([status, body.code]).toEqual([409, 'state_conflict']);
    await api.ok('POST', `/deliveries/${delivery}/cancel`);
  }
  expect(await shown(id)).toEqual({ [retrying!]: 'cancelled', [waiting!]: 'cancelled' });
});
