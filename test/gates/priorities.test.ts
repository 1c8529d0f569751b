import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

const EACH = 120;

let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

async function publish({ api }: Installation, priority: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await api.ok('POST', '/events', { type: `priority.${priority}`, data: { n }, priority });
  }
}

test('while there is more work than room, high goes first and low still goes', async () => {
  const posthorn = await startInstallation();
  try {
    const { api } = posthorn;
    const webhooks: string[] = [];
    // A webhook for each, so that it is the priorities that decide and not the queue of one of them.
    for (const priority of ['high', 'low']) {
      const { id } = await api.createWebhook(receiver, { events: [`priority.${priority}`] });
      await api.ok('POST', `/webhooks/${id}/pause`);
      webhooks.push(id);
      await publish(posthorn, priority, EACH);
    }
    for (const id of webhooks.reverse()) await api.ok('POST', `/webhooks/${id}/resume`);
    await receiver.waitFor(2 * EACH);
    const order = receiver.requests.map(({ headers }) => headers['x-webhook-event']);
    const until80PercentOfHigh = order.slice(0, positionOf(order, 'priority.high', Math.round(EACH * 0.8)));
    const low = until80PercentOfHigh.filter((type) => type === 'priority.low').length;
    expect(low).toBeGreaterThan(0);
    expect(low).toBeLessThan(EACH * 0.8);
  } finally {
    await posthorn.stop();
  }
});

test('a worker that is told its priorities takes nothing of the others', async () => {
  const posthorn = await startInstallation({ POSTHORN_PRIORITIES: 'high,normal' });
  try {
    const { api } = posthorn;
    await api.createWebhook(receiver, { events: ['priority.*'] });
    await publish(posthorn, 'low', 3);
    await publish(posthorn, 'normal', 3);
    await publish(posthorn, 'high', 3);
    await receiver.waitFor(6);
    const { data } = await until('the others to be delivered', async () => {
      const list = await api.ok<{ data: { event_type: string; status: string }[] }>('GET', '/deliveries');
      return list.data.filter(({ status }) => status === 'delivered').length === 6 && list;
    });
    expect(data.filter(({ event_type }) => event_type === 'priority.low')).toEqual(
      Array(3).fill(expect.objectContaining({ status: 'pending' })),
    );
  } finally {
    await posthorn.stop();
  }
});

/** Where the nth of these is, counting from 1. */
function positionOf(order: unknown[], type: string, nth: number): number {
  const places = order.flatMap((each, place) => (each === type ? place : []));
  return places[nth - 1]!;
}
