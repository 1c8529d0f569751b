import type { DeliveryState } from '../../src/domain/delivery';
import type { DeliveryOut } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

/** An installation in which deliveries can be put into every state that people see, and kept there. */
export type Stage = {
  posthorn: Installation;
  receiver: Receiver;
  /** A new delivery of a new webhook, in this state. */
  make(state: DeliveryState): Promise<{ id: string; webhook: string; event: string }>;
  /** What `/down` answers from now on. */
  answerWith(status: number): void;
  /** Lets the attempts of `in_progress` deliveries, and of those behind them, end with this status. */
  release(status: number): void;
  stop(): Promise<void>;
};

const FAR = { schedule: ['1h', '2h'], jitter: 0 };

export async function startStage(): Promise<Stage> {
  const posthorn = await startInstallation({
    POSTHORN_RECONCILE_EVERY: '200ms',
    // The second delivery of a webhook whose first one is under way has to wait.
    POSTHORN_MAX_IN_FLIGHT_PER_WEBHOOK: '1',
  });
  const { api } = posthorn;
  let downStatus = 500;
  let release: (status: number) => void = () => undefined;
  const released = new Promise<number>((resolve) => {
    release = resolve;
  });
  const receiver = await startReceiver(async ({ path }) => {
    if (path === '/down') return { status: downStatus, headers: { 'x-why': 'test' }, body: 'no' };
    return { status: path === '/slow' ? await released : 204 };
  });
  let made = 0;

  async function publish(path: string, settings: object = {}) {
    const type = `stage.n${++made}`;
    const webhook = await api.createWebhook(receiver, { url: receiver.url + path, events: [type], ...settings });
    const { id: event } = await api.publish(type);
    return { type, webhook: webhook.id, event, id: await api.onlyDelivery(event) };
  }

  async function make(state: DeliveryState) {
    switch (state) {
      case 'delivered':
        return reached(await publish('/ok'), state);
      case 'retrying':
        return reached(await publish('/down', { retry_policy: FAR }), state);
      case 'failed':
        return reached(await publish('/down', { retry_policy: { schedule: [] } }), state);
      case 'held':
        return reached(await publish('/ok', { active: false }), state);
      case 'cancelled': {
        const one = await publish('/ok', { active: false });
        await api.ok('POST', `/deliveries/${one.id}/cancel`);
        return reached(one, state);
      }
      case 'in_progress':
        return reached(await underWay(), state);
      case 'pending': {
        const { type, webhook } = await reached(await underWay(), 'in_progress');
        const { id: event } = await api.publish(type);
        return reached({ type, webhook, event, id: await api.onlyDelivery(event) }, state);
      }
    }
  }

  async function underWay() {
    const one = await publish('/slow', { retry_policy: FAR, timeout: '30s' });
    await until('its POST to arrive', () => receiver.requests.some((r) => r.headers['webhook-id'] === one.event));
    return one;
  }

  async function reached<T extends { id: string }>(one: T, state: DeliveryState): Promise<T> {
    await api.untilStatus(one.id, state);
    return one;
  }

  return {
    posthorn,
    receiver,
    make,
    answerWith: (status) => {
      downStatus = status;
    },
    release,
    async stop() {
      release(204);
      await posthorn.stop();
      await receiver.close();
    },
  };
}

/** Waits until the delivery looks like this. */
export function untilIs(
  { posthorn }: Stage,
  id: string,
  what: string,
  is: (delivery: DeliveryOut) => boolean,
): Promise<DeliveryOut> {
  return until(`${id} to be ${what}`, async () => {
    const delivery = await posthorn.api.delivery(id);
    return is(delivery) && delivery;
  });
}
