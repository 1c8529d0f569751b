import type { DeliveryState } from '../../src/domain/delivery';
import type { DeliveryOut } from '../support/api';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

/** A delivery of a webhook of its own, at a path of its own. */
export type Staged = { id: string; event: string; webhook: string; path: string };

/** An installation in which deliveries can be put into every state that people see, and kept there. */
export type Stage = {
  posthorn: Installation;
  receiver: Receiver;
  make(state: DeliveryState): Promise<Staged>;
  /** What the delivery's endpoint answers from now on, an attempt that is under way included. */
  answer(one: Staged, status: number): void;
  /** How often the event arrived. */
  arrivals(one: Staged): number;
  /** Waits until the delivery looks like this. */
  until(one: Staged, what: string, is: (delivery: DeliveryOut) => boolean): Promise<DeliveryOut>;
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
  const answers = new Map<string, Answer>();
  const receiver = await startReceiver(async ({ path }) => ({
    status: await answers.get(path)!.status,
    headers: { 'x-why': 'test' },
    body: 'so',
  }));
  const arrivals = ({ event }: Pick<Staged, 'event'>) =>
    receiver.requests.filter((request) => request.headers['webhook-id'] === event).length;

  async function publish(status: number | 'later', settings: object = {}): Promise<Staged> {
    const type = `stage.n${answers.size + 1}`;
    const path = `/${type}`;
    answers.set(path, status === 'later' ? laterAnswer() : { status: Promise.resolve(status) });
    const webhook = await api.createWebhook(receiver, { url: receiver.url + path, events: [type], ...settings });
    return deliver({ type, path, webhook: webhook.id });
  }

  async function deliver({ type, path, webhook }: { type: string; path: string; webhook: string }): Promise<Staged> {
    const { id: event } = await api.publish(type);
    return { id: await api.onlyDelivery(event), event, webhook, path };
  }

  async function underWay(): Promise<Staged> {
    const one = await publish('later', { retry_policy: FAR, timeout: '30s' });
    await until('its POST to arrive', () => arrivals(one) > 0);
    return one;
  }

  async function begin(state: DeliveryState): Promise<Staged> {
    switch (state) {
      case 'delivered':
        return publish(204);
      case 'retrying':
        return publish(500, { retry_policy: FAR });
      case 'failed':
        return publish(500, { retry_policy: { schedule: [] } });
      case 'held':
        return publish(204, { active: false });
      case 'cancelled': {
        const one = await publish(500, { retry_policy: FAR });
        await api.untilStatus(one.id, 'retrying');
        await api.ok('POST', `/deliveries/${one.id}/cancel`);
        return one;
      }
      case 'in_progress':
        return underWay();
      case 'pending': {
        const { path, webhook } = await underWay();
        return deliver({ type: path.slice(1), path, webhook });
      }
    }
  }

  return {
    posthorn,
    receiver,
    arrivals,
    async make(state) {
      const one = await begin(state);
      await api.untilStatus(one.id, state);
      return one;
    },
    answer({ path }, status) {
      answers.get(path)?.answer?.(status);
      answers.set(path, { status: Promise.resolve(status) });
    },
    until: ({ id }, what, is) =>
      until(`${id} to be ${what}`, async () => {
        const delivery = await api.delivery(id);
        return is(delivery) && delivery;
      }),
    async stop() {
      for (const { answer } of answers.values()) answer?.(204);
      await posthorn.stop();
      await receiver.close();
    },
  };
}

type Answer = { status: Promise<number>; answer?: (status: number) => void };

function laterAnswer(): Answer {
  let answer: Answer['answer'];
  const status = new Promise<number>((resolve) => {
    answer = resolve;
  });
  return { status, answer };
}
