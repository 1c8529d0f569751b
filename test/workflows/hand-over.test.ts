import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { until } from '../support/until';

/** Longer than a first attempt may hold its workflow task. */
const SLOW_MS = 3_500;

let posthorn: Installation;
let receiver: Receiver;

beforeAll(async () => {
  posthorn = await startInstallation();
});
afterAll(() => posthorn?.stop());
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

/** A delivery whose first POST has arrived. */
async function publish(schedule: string[] = ['1h']): Promise<string> {
  const type = `slow.n${Math.random().toString(36).slice(2)}`;
  await posthorn.api.createWebhook(receiver, { events: [type], retry_policy: { schedule, jitter: 0 } });
  const { id } = await posthorn.api.publish(type);
  await receiver.waitFor(1);
  return posthorn.api.onlyDelivery(id);
}

const status = (id: string) => posthorn.api.ok('GET', `/deliveries/${id}/status`);

/** The answer of the workflow itself while its first attempt is out: it was handed over. */
const untilHandedOver = (id: string) =>
  until('the workflow to answer', async () => {
    const answer = await status(id);
    return answer.source === 'workflow' && answer;
  });

test('a slow first attempt is handed over: the workflow answers meanwhile, and the POST is made and recorded once', async () => {
  receiver.setHandler(() => ({ status: 200, delayMs: SLOW_MS }));
  const id = await publish();
  expect(await untilHandedOver(id)).toMatchObject({ status: 'in_progress', attempt_count: 0 });
  expect((await posthorn.api.delivery(id)).attempts).toEqual([]);
  const { attempts } = await posthorn.api.untilStatus(id, 'delivered');
  expect(attempts).toMatchObject([{ number: 1, trigger: 'schedule', status_code: 200 }]);
  expect(receiver.requests).toHaveLength(1);
});

test('a slow first attempt that fails is tried again on schedule', async () => {
  receiver.setHandler((_, n) => (n === 1 ? { status: 503, delayMs: SLOW_MS } : { status: 200 }));
  const id = await publish(['1s']);
  const { attempts } = await posthorn.api.untilStatus(id, 'delivered');
  expect(attempts).toMatchObject([
    { number: 1, status_code: 503 },
    { number: 2, status_code: 200, trigger: 'schedule' },
  ]);
  expect(receiver.requests).toHaveLength(2);
});

test('cancel is heard while a handed-over attempt is out, and counts once that has failed', async () => {
  let answer: (status: number) => void = () => undefined;
  const held = new Promise<number>((resolve) => {
    answer = resolve;
  });
  receiver.setHandler(async () => ({ status: await held }));
  const id = await publish();
  await untilHandedOver(id);
  await posthorn.api.ok('POST', `/deliveries/${id}/cancel`);
  expect(await status(id)).toMatchObject({ status: 'in_progress' });
  answer(500);
  expect(await posthorn.api.untilStatus(id, 'cancelled')).toMatchObject({ attempt_count: 1 });
  expect(receiver.requests).toHaveLength(1);
});
