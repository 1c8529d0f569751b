import { Pool } from 'pg';
import { readConfig } from '../../src/config';
import { parsePublicId } from '../../src/domain/ids';
import { createLog } from '../../src/log';
import { taskQueues, WORKFLOW_TYPE } from '../../src/temporal/names';
import { type RunningWorker, startWorker } from '../../src/worker/start-worker';
import type { DeliverInput } from '../../src/workflows/contract';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { connectTemporal } from '../support/temporal';

/** Signals that reach a run before its first workflow task, as happens while the workers are down or busy. */

let posthorn: Installation;
let worker: RunningWorker | undefined;
let receiver: Receiver;
let pool: Pool;
let temporal: Awaited<ReturnType<typeof connectTemporal>>;

beforeAll(async () => {
  posthorn = await startInstallation({}, { worker: false });
  receiver = await startReceiver();
  pool = new Pool({ connectionString: posthorn.databaseUrl });
  temporal = await connectTemporal();
});
afterAll(async () => {
  await worker?.stop();
  await pool?.end();
  await posthorn?.stop();
  await receiver?.close();
  await temporal?.close();
});

test('signals that come before the first attempt count in the order of their arrival, and a cancel keeps the first attempt from being made', async () => {
  const { api } = posthorn;
  await api.createWebhook(receiver, { events: ['early.signal'] });
  const wishes = [['cancel'], ['retry', 'cancel'], ['cancel', 'retry'], ['retry']];
  const ids: string[] = [];
  for (const wish of wishes) {
    const id = await claimed();
    for (const what of wish) await api.ok('POST', `/deliveries/${id}/${what}`);
    ids.push(id);
  }
  // The signal of a cancel before its latest claim: it was overtaken, and there is nothing to cancel any more.
  const startedAnew = await claimed();
  await temporal.client.workflow.getHandle(startedAnew).signal('cancel', { by: 'test', recorded: true });
  ids.push(startedAnew);
  worker = await startWorker(readConfig(posthorn.env), createLog('silent'));
  const ends = ['cancelled', 'cancelled', 'delivered', 'delivered', 'delivered'];
  for (const [i, id] of ids.entries()) await api.untilStatus(id, ends[i]!);
  await Promise.all(ids.map((id) => temporal.client.workflow.getHandle(id).result()));
  const sent = receiver.requests.map((request) => String(request.headers['x-webhook-delivery']));
  expect(sent.sort()).toEqual(ids.slice(2).sort());
});

/** A delivery that a relay has claimed and started, with nobody there to run it. */
async function claimed(): Promise<string> {
  const id = await posthorn.api.onlyDelivery((await posthorn.api.publish('early.signal')).id);
  const deliveryId = parsePublicId('delivery', id)!;
  const { rows } = await pool.query<{ webhook_id: string }>(
    `update delivery_queue set lease_until = now() + interval '2 min' where delivery_id = $1 returning webhook_id`,
    [deliveryId],
  );
  const { workflows, retries } = taskQueues(posthorn.env.POSTHORN_TASK_QUEUE!);
  const input: DeliverInput = {
    deliveryId,
    webhookId: rows[0]!.webhook_id,
    attempt: 0,
    cause: 'claimed',
    retriesQueue: retries,
    attemptTimeoutMs: 40_000,
  };
  await temporal.client.workflow.start(WORKFLOW_TYPE, { workflowId: id, taskQueue: workflows, args: [input] });
  return id;
}
