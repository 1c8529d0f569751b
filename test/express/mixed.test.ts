import { setTimeout as sleep } from 'node:timers/promises';
import { DELIVERY_MODES } from '../../src/domain/delivery-mode';
import { installationForFile, receiverForFile } from '../support/for-tests';
import { seededRandom } from '../support/random';
import { until } from '../support/until';

const posthorn = installationForFile({ POSTHORN_DELIVERY_MODE: 'auto' });
const receiver = receiverForFile();

const EVENTS = 120;

test('webhooks of every mode side by side, changing it while they have work: each delivery succeeds once', async () => {
  const { api } = posthorn;
  const random = seededRandom(7);
  const succeeded: string[] = [];
  receiver.setHandler(async ({ headers }) => {
    const status = random() < 0.25 ? 500 : 200;
    await sleep(random() * 60);
    if (status === 200) succeeded.push(String(headers['x-webhook-delivery']));
    return { status };
  });
  const retry_policy = { initial: '200ms', factor: 1, max_attempts: 40, jitter: 1 };
  const ids: string[] = [];
  for (const mode of [...DELIVERY_MODES, null]) {
    ids.push((await api.createWebhook(receiver, { mode, retry_policy })).id);
  }
  const publishing = (async () => {
    for (let n = 0; n < EVENTS; n++) {
      await api.publish('order.created', { n });
      await sleep(random() * 20);
    }
  })();
  for (let n = 0; n < 16; n++) {
    await sleep(random() * 200);
    const mode = DELIVERY_MODES[Math.floor(random() * 3)];
    await api.ok('PATCH', `/webhooks/${ids[n % ids.length]}`, { mode });
  }
  await publishing;
  const paths = new Set<string>();
  for (const id of ids) {
    const { data } = await until(
      'every delivery to be delivered',
      async () => {
        const page = await api.ok('GET', `/webhooks/${id}/deliveries?status=delivered&limit=200`);
        return page.data.length === EVENTS && page;
      },
      120_000,
    );
    for (const { path } of data) paths.add(path);
  }
  expect(paths).toEqual(new Set(['express', 'workflow']));
  expect(succeeded).toHaveLength(EVENTS * ids.length);
  expect(new Set(succeeded).size).toBe(EVENTS * ids.length);
  const attempts = receiver.requests.map(
    ({ headers }) => `${headers['x-webhook-delivery']} ${headers['x-webhook-attempt']}`,
  );
  expect(new Set(attempts).size).toBe(attempts.length);
}, 200_000);
