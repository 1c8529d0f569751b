import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { parsePublicId } from '../../src/domain/ids';
import { testWorkflowId, verificationWorkflowId } from '../../src/temporal/names';
import { makeFailed } from '../support/failed';
import { HISTORIES, leaks, PLANTED, PLANTED_SECRET } from '../support/histories';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, type ReceiverHandler, startReceiver } from '../support/receiver';
import { connectTemporal } from '../support/temporal';
import { until } from '../support/until';

/**
 * Makes one run of each kind and looks through its history for what must not be in Temporal. The histories are written
 * to test/histories, for replay-histories.test.ts, when asked for:
 *
 *     RECORD_HISTORIES=1 npm test -- test/workflows/record-histories
 *
 * Record a new kind when the workflow learns something. The old files stay as they are: runs like them may be waiting
 * for their timers while a new version is deployed.
 */

let posthorn: Installation;
let receiver: Receiver;
let temporal: Awaited<ReturnType<typeof connectTemporal>>;

beforeAll(async () => {
  posthorn = await startInstallation();
  temporal = await connectTemporal();
});
afterAll(async () => {
  await posthorn?.stop();
  await temporal?.close();
});
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

type Delivery = { id: string; webhook: string };
type Kind = {
  name: string;
  schedule: string[];
  answers: ReceiverHandler;
  /** What an operator does to it. */
  meanwhile?: (delivery: Delivery) => Promise<unknown>;
  end: string;
};

const later =
  (status: number): ReceiverHandler =>
  (_, n) => ({ status: n === 1 ? 500 : status });
const act = (id: string, action: string, body?: object) => posthorn.api.ok('POST', `/deliveries/${id}/${action}`, body);

const KINDS: Kind[] = [
  { name: 'delivered-at-first', schedule: [], answers: () => ({ status: 200 }), end: 'delivered' },
  {
    name: 'retried-by-an-operator',
    schedule: ['100ms', '1h'],
    answers: (_, n) => ({ status: n < 3 ? 503 : 200 }),
    async meanwhile({ id }) {
      await receiver.waitFor(2);
      await posthorn.api.untilStatus(id, 'retrying');
      await act(id, 'retry');
    },
    end: 'delivered',
  },
  {
    name: 'cancelled',
    schedule: ['1h'],
    answers: later(200),
    async meanwhile({ id }) {
      await posthorn.api.untilStatus(id, 'retrying');
      await act(id, 'cancel');
    },
    end: 'cancelled',
  },
  {
    name: 'rescheduled-by-the-time-in-postgres',
    schedule: ['1h'],
    answers: later(200),
    async meanwhile({ id }) {
      await posthorn.api.untilStatus(id, 'retrying');
      await act(id, 'reschedule', { at: new Date(Date.now() + 500).toISOString() });
    },
    end: 'delivered',
  },
  {
    name: 'handed-over',
    schedule: [],
    answers: () => ({ status: 200, delayMs: 3_000 }),
    end: 'delivered',
  },
  { name: 'exhausted', schedule: ['100ms', '100ms'], answers: () => ({ status: 500 }), end: 'failed' },
  {
    name: 'retried-after-its-end',
    schedule: [],
    answers: later(200),
    async meanwhile({ id }) {
      await posthorn.api.untilStatus(id, 'failed');
      await temporal.client.workflow.getHandle(id).result();
      await act(id, 'retry');
    },
    end: 'delivered',
  },
  {
    name: 'put-back-behind-a-shut-gate',
    schedule: ['1s'],
    answers: later(200),
    async meanwhile({ id, webhook }) {
      await posthorn.api.untilStatus(id, 'retrying');
      await posthorn.api.ok('PATCH', `/webhooks/${webhook}`, { active: false });
      await posthorn.api.untilStatus(id, 'held');
    },
    end: 'held',
  },
];

test.each(KINDS)('nothing but ids, numbers and names is in the history of one $name', async (kind) => {
  const { api } = posthorn;
  receiver.setHandler(async (request, n) => ({
    ...((await kind.answers(request, n)) as { status: number }),
    headers: { 'x-answer': PLANTED },
    body: PLANTED,
  }));
  const { id: webhook } = await api.createWebhook(receiver, {
    url: `${receiver.url}/${PLANTED}?token=${PLANTED}`,
    events: [`kept.${kind.name}`],
    secret: PLANTED_SECRET,
    description: PLANTED,
    metadata: { [PLANTED]: PLANTED },
    retry_policy: { schedule: kind.schedule, jitter: 0 },
  });
  const id = await api.onlyDelivery((await api.publish(`kept.${kind.name}`, { [PLANTED]: PLANTED })).id);
  await kind.meanwhile?.({ id, webhook });
  await api.untilStatus(id, kind.end);
  const run = temporal.client.workflow.getHandle(id);
  await until('its run to close', async () => (await run.describe()).status.name === 'COMPLETED');

  await lookThrough(kind.name, id);
});

test.each(['completed', 'cancelled'])(
  'nothing but ids, numbers and names is in the history of a bulk replay that is %s',
  async (end) => {
    const { webhook, resume } = await makeFailed(posthorn, receiver, 3);
    await resume();
    const { id } = await posthorn.api.ok('POST', `/webhooks/${webhook}/replay`, {
      since: new Date(Date.now() - 3_600_000),
      rate_limit: end === 'completed' ? '2/1s' : '2/1d',
    });
    if (end === 'cancelled') {
      await receiver.waitFor(1);
      await posthorn.api.ok('POST', `/replays/${id}/cancel`);
    }
    expect(await temporal.client.workflow.getHandle(id).result()).toBe(end);
    await lookThrough(`bulk-replay-${end}`, id);
  },
);

test('nothing but ids, numbers and names is in the history of an endpoint verification', async () => {
  const { id } = await posthorn.api.createWebhook(receiver, {
    url: `${receiver.url}/${PLANTED}?token=${PLANTED}`,
    events: ['kept.verified'],
    secret: PLANTED_SECRET,
  });
  await posthorn.api.ok('POST', `/webhooks/${id}/verify?wait=true`);
  // The first round is that of the new URL, which the tenant's mode leaves out.
  const workflowId = verificationWorkflowId(parsePublicId('webhook', id)!, 2);
  await temporal.client.workflow.getHandle(workflowId).result();
  await lookThrough('endpoint-verification', workflowId);
});

test('nothing but ids, numbers and names is in the history of a test of a webhook', async () => {
  receiver.setHandler(() => ({ status: 200, headers: { 'x-answer': PLANTED }, body: PLANTED }));
  const { id } = await posthorn.api.createWebhook(receiver, {
    url: `${receiver.url}/${PLANTED}?token=${PLANTED}`,
    events: ['kept.tested'],
    secret: PLANTED_SECRET,
  });
  const data = { [PLANTED]: PLANTED };
  const { id: attempt } = await posthorn.api.ok('POST', `/webhooks/${id}/test?wait=true`, { data });
  const workflowId = testWorkflowId(parsePublicId('attempt', attempt)!);
  await temporal.client.workflow.getHandle(workflowId).result();
  await lookThrough('webhook-test', workflowId);
});

test('nothing but ids, numbers and names is in the history of a delivery whose first attempt was made without a workflow', async () => {
  receiver.setHandler((_, n) => ({ status: n === 1 ? 500 : 200, body: PLANTED }));
  await posthorn.api.createWebhook(receiver, {
    url: `${receiver.url}/${PLANTED}?token=${PLANTED}`,
    events: ['kept.express'],
    secret: PLANTED_SECRET,
    mode: 'express',
    retry_policy: { schedule: ['1s'], jitter: 0 },
  });
  const id = await posthorn.api.onlyDelivery((await posthorn.api.publish('kept.express', { [PLANTED]: PLANTED })).id);
  await posthorn.api.untilStatus(id, 'delivered');
  expect(await temporal.client.workflow.getHandle(id).result()).toBe('delivered');
  await lookThrough('waited-after-express', id);
});

async function lookThrough(name: string, workflowId: string): Promise<void> {
  const json = historyToJSON(await temporal.client.workflow.getHandle(workflowId).fetchHistory());
  expect(leaks(JSON.parse(json))).toEqual([]);
  if (process.env.RECORD_HISTORIES) {
    mkdirSync(HISTORIES, { recursive: true });
    writeFileSync(path.join(HISTORIES, `${name}.json`), `${json}\n`);
  }
}
