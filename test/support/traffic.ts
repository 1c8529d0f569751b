import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Receiver, startReceiver } from './receiver';

export type Traffic = {
  receiver: Receiver;
  /** The next POST of a delivery: when it has arrived, or when it is answered. */
  next(deliveryId: string, when: 'arrived' | 'answered'): Promise<unknown>;
  /** `<delivery> <attempt number>` of every POST. */
  keys(): string[];
};

/** An endpoint that answers 200 or 500 as chance has it, a little later, and tells of each POST. */
export async function startTraffic(random: () => number): Promise<Traffic> {
  const told = new EventEmitter().setMaxListeners(0);
  const receiver = await startReceiver(async ({ headers }) => {
    const id = headers['x-webhook-delivery'];
    told.emit(`${id} arrived`);
    const status = random() < 0.4 ? 200 : 500;
    await sleep(random() * 40);
    setImmediate(() => told.emit(`${id} answered`));
    return { status };
  });
  return {
    receiver,
    next: (deliveryId, when) => once(told, `${deliveryId} ${when}`),
    keys: () =>
      receiver.requests.map(({ headers }) => `${headers['x-webhook-delivery']} ${headers['x-webhook-attempt']}`),
  };
}
