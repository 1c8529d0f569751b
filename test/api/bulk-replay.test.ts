import { readConfig } from '../../src/config';
import { type Database, openDatabase } from '../../src/db/database';
import { findReplay, insertReplay } from '../../src/db/store/replays';
import { newUuid, parsePublicId, toPublicId } from '../../src/domain/ids';
import { createLog } from '../../src/log';
import { restartReplays } from '../../src/relay/restart-replays';
import { REPLAY_WORKFLOW_TYPE, taskQueues } from '../../src/temporal/names';
import { type RunningWorker, startWorker } from '../../src/worker/start-worker';
import type { ReplayInput } from '../../src/workflows/contract';
import type { TestApi } from '../support/api';
import { makeFailed } from '../support/failed';
import { told } from '../support/history';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { connectTemporal } from '../support/temporal';
import { arrived, type ReplayOut, SINCE, untilReplay, untilSent } from './replay-support';
import { expectBadField, expectProblem, sql } from './support';

jest.setTimeout(240_000);

let posthorn: Installation;
let api: TestApi;
let receiver: Receiver;
let db: Database;
let temporal: Awaited<ReturnType<typeof connectTemporal>>;
/** The one that runs now; tests may stop it and start another. */
let worker: RunningWorker;
const log = createLog('silent');

beforeAll(async () => {
  posthorn = await startInstallation();
  api = posthorn.api;
  worker = posthorn.worker!;
  db = openDatabase({ url: posthorn.databaseUrl, poolSize: 2, applicationName: 'test', planner: 'default' });
  temporal = await connectTemporal();
});
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());
afterAll(async () => {
  await worker?.stop();
  await db?.close();
  await posthorn?.stop();
  await temporal?.close();
});

const path = (webhook: string) => `/webhooks/${webhook}/replay`;
const replay = (webhook: string, body: object = {}) => api.ok('POST', path(webhook), { since: SINCE, ...body });
const completed = (id: string) => untilReplay(posthorn, id, 'completed', ({ status }) => status === 'completed');
const runOf = (id: string) => temporal.client.workflow.getHandle(id);

test('300 failed deliveries are each sent once more, under the same webhook-id', async () => {
  const failed = await makeFailed(posthorn, receiver, 300);
  await failed.resume();
  const begun = await replay(failed.webhook, { rate_limit: '1000/1s' });
  expect(begun).toMatchObject({
    id: expect.stringMatching(/^rpl_/),
    webhook_id: failed.webhook,
    since: SINCE,
    statuses: ['failed'],
    event_types: null,
    status: 'running',
    rate_limit: '1000/1s',
    ended_at: null,
  });
  expect(await completed(begun.id)).toMatchObject({ total: 300, sent: 300, skipped: 0, source: 'database' });
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual([...failed.events].sort());
  expect(receiver.requests.map(({ headers }) => headers['x-webhook-attempt'])).toEqual(Array(300).fill('2'));
  const triggers = await sql(
    posthorn,
    `select number, trigger, count(*)::int as n from attempts where webhook_id = $1 group by 1, 2 order by 1`,
    [parsePublicId('webhook', failed.webhook)],
  );
  expect(triggers).toEqual([
    { number: 1, trigger: 'schedule', n: 300 },
    { number: 2, trigger: 'replay', n: 300 },
  ]);
  expect(await api.delivery(failed.deliveries[0]!)).toMatchObject({ status: 'delivered', attempt_count: 2 });
  expect(await runOf(begun.id).result()).toBe('completed');
});

test('a delivery that fails again in its replay is not sent a third time', async () => {
  receiver.setHandler(() => ({ status: 410 }));
  const failed = await makeFailed(posthorn, receiver, 3);
  await failed.resume();
  const { id } = await replay(failed.webhook, { rate_limit: '1/1s' });
  expect(await completed(id)).toMatchObject({ total: 3, sent: 3, skipped: 0 });
});

test('a cancel in the middle ends the wait, and nothing more is put into the queue', async () => {
  const failed = await makeFailed(posthorn, receiver, 5);
  await failed.resume();
  const { id } = await replay(failed.webhook, { rate_limit: '1/1h' });
  const waiting = ({ sent, source }: ReplayOut) => sent === 1 && source === 'workflow';
  const live = await untilReplay(posthorn, id, 'waiting for its second page', waiting);
  expect(live).toMatchObject({ status: 'running', total: 5, skipped: 0 });

  const cancelled = { id, status: 'cancelled', total: 5, sent: 1, skipped: 0, ended_at: expect.any(String) };
  expect(await api.call('POST', `/replays/${id}/cancel`)).toMatchObject({ status: 202, body: cancelled });
  expect(await runOf(id).result()).toBe('cancelled');
  const { timersMs } = await told(temporal.client, id);
  expect(timersMs).toEqual([expect.any(Number)]);
  expect(timersMs[0]).toBeGreaterThan(3_500_000);
  expect(timersMs[0]).toBeLessThanOrEqual(3_600_000);
  expect(await api.call('POST', `/replays/${id}/cancel`)).toMatchObject({ status: 202, body: cancelled });
  expect(await api.ok('GET', `/replays/${id}`)).toMatchObject({ ...cancelled, source: 'database' });
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual(failed.events.slice(0, 1));
  const left = await api.ok('GET', `/deliveries?status=failed&webhook_id=${failed.webhook}`);
  expect(left.data.map((one: { id: string }) => one.id)).toEqual(failed.deliveries.slice(1).reverse());
  const audit = await sql(posthorn, 'select action from audit_log where target = $1 order by id', [id]);
  expect(audit).toEqual([{ action: 'replay.create' }, { action: 'replay.cancel' }]);
});

test('a worker that is stopped in the middle is followed by another, and each is sent once', async () => {
  const failed = await makeFailed(posthorn, receiver, 60);
  await failed.resume();
  const { id } = await replay(failed.webhook, { rate_limit: '10/1s' });
  await untilReplay(posthorn, id, 'under way', ({ sent }) => sent >= 10);
  await worker.stop();
  const stopped = await api.ok('GET', `/replays/${id}`);
  expect(stopped).toMatchObject({ status: 'running', source: 'database' });
  expect(stopped.sent).toBeLessThan(60);
  worker = await startWorker(readConfig(posthorn.env), log);
  expect(await completed(id)).toMatchObject({ total: 60, sent: 60, skipped: 0 });
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual([...failed.events].sort());
});

test('a replay whose workflow is lost is started again where it was, and only once', async () => {
  const failed = await makeFailed(posthorn, receiver, 4);
  await failed.resume();
  const { id } = await replay(failed.webhook, { rate_limit: '1/1h' });
  await untilReplay(posthorn, id, 'waiting for its second page', ({ sent }) => sent === 1);
  const restart = (overdueMs: number) =>
    restartReplays({ db, client: temporal.client, log, taskQueuePrefix: posthorn.env.POSTHORN_TASK_QUEUE!, overdueMs });
  expect(await restart(3_600_000)).toBe(0);
  expect(await restart(0)).toBe(0); // it lives
  await runOf(id).terminate();
  expect(await restart(0)).toBe(1);
  expect(await restart(0)).toBe(0);
  await untilReplay(posthorn, id, 'one page further', ({ sent }) => sent === 2);
  await api.ok('POST', `/replays/${id}/cancel`);
  expect(await runOf(id).result()).toBe('cancelled');
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual(failed.events.slice(0, 2));
});

test('a long replay goes on under new histories', async () => {
  const failed = await makeFailed(posthorn, receiver, 60);
  await failed.resume();
  const rate = { count: 10_000, perMs: 1_000 };
  const uuid = newUuid();
  const { tenantId } = await anyReplay();
  const webhookId = parsePublicId('webhook', failed.webhook)!;
  const filter = { since: SINCE, until: new Date().toISOString(), states: ['failed' as const] };
  await insertReplay(db.kysely, { id: uuid, tenantId, webhookId, filter, rate, askedBy: newUuid() });
  const queues = taskQueues(posthorn.env.POSTHORN_TASK_QUEUE!);
  const progress = { state: 'running' as const, total: null, sent: 0, skipped: 0 };
  const input: ReplayInput = {
    replayId: uuid,
    rate,
    pageSize: 5,
    pagesPerRun: 3,
    retriesQueue: queues.replays,
    progress,
  };
  const id = toPublicId('replay', uuid);
  const first = await temporal.client.workflow.start(REPLAY_WORKFLOW_TYPE, {
    args: [input],
    workflowId: id,
    taskQueue: queues.workflows,
  });
  expect(await first.result()).toBe('completed');
  const { runId } = await runOf(id).describe();
  expect(runId).not.toBe(first.firstExecutionRunId);
  expect(await completed(id)).toMatchObject({ total: 60, sent: 60, skipped: 0 });
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual([...failed.events].sort());
});

/** The row of some replay of the installation's tenant. */
async function anyReplay() {
  const [row] = await sql<{ id: string; tenant_id: string }>(posthorn, 'select id, tenant_id from replays limit 1');
  return (await findReplay(db.kysely, row!.tenant_id, row!.id))!;
}

test('what a paused webhook gets again waits until it is resumed', async () => {
  const failed = await makeFailed(posthorn, receiver, 2);
  const { id } = await replay(failed.webhook);
  await completed(id);
  expect(await api.delivery(failed.deliveries[0]!)).toMatchObject({ status: 'held', attempt_count: 1 });
  await failed.resume();
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual([...failed.events].sort());
});

test('what is replayed waits in the low priority, live traffic in its own', async () => {
  const failed = await makeFailed(posthorn, receiver, 1);
  await completed((await replay(failed.webhook)).id);
  await api.publish(failed.type);
  const priorities = await sql(
    posthorn,
    'select priority, trigger from delivery_queue where webhook_id = $1 order by priority',
    [parsePublicId('webhook', failed.webhook)],
  );
  expect(priorities).toEqual([
    { priority: 1, trigger: 'schedule' },
    { priority: 2, trigger: 'replay' },
  ]);
});

test('a replay by states and event types takes those, and says so', async () => {
  const failed = await makeFailed(posthorn, receiver, 2);
  await failed.resume();
  const asked = { statuses: ['delivered', 'cancelled'], event_types: [failed.type] };
  const none = await replay(failed.webhook, asked);
  expect(none).toMatchObject(asked);
  expect(await completed(none.id)).toMatchObject({ total: 0, sent: 0, skipped: 0 });
  await api.ok('POST', `/deliveries/${failed.deliveries[0]}/retry`);
  await api.untilStatus(failed.deliveries[0]!, 'delivered');
  expect(await completed((await replay(failed.webhook, asked)).id)).toMatchObject({ total: 1, sent: 1 });
  await untilSent(posthorn, failed.webhook);
  expect(arrived(receiver)).toEqual([failed.events[0], failed.events[0]]);
});

test('what is asked for wrongly is refused, and says why', async () => {
  const { id } = await api.createWebhook(receiver);
  const ask = (body: object) => api.call('POST', path(id), body);
  expectBadField(await ask({}), 'since', /./);
  expectBadField(await ask({ since: 'yesterday' }), 'since', /RFC 3339/);
  expectBadField(await ask({ since: SINCE, until: SINCE }), 'since', /before until/);
  expectBadField(await ask({ since: new Date(Date.now() + 60_000) }), 'since', /before until/);
  expectBadField(await ask({ since: SINCE, statuses: ['retrying'] }), 'statuses.0', /./);
  expectBadField(await ask({ since: SINCE, statuses: [] }), 'statuses', /./);
  expectBadField(await ask({ since: SINCE, statuses: ['failed'], states: ['failed'] }), 'states', /former name/);
  expectBadField(await ask({ since: SINCE, event_types: ['A b'] }), 'event_types.0', /dotted/);
  expectBadField(await ask({ since: SINCE, rate_limit: '0/1s' }), 'rate_limit', /100\/1s/);
  expectBadField(await ask({ since: SINCE, webhook_id: id }), 'webhook_id', /not known/);
});

test('a replay that is completed cannot be cancelled', async () => {
  const { id: webhook } = await api.createWebhook(receiver);
  const { id } = await replay(webhook);
  await completed(id);
  expectProblem(await api.call('POST', `/replays/${id}/cancel`), { status: 409, code: 'state_conflict' });
});

test('the list is walked newest first', async () => {
  const { id: webhook } = await api.createWebhook(receiver);
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.unshift((await replay(webhook)).id);
  const page = await api.ok('GET', '/replays?limit=2');
  expect(page.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
  const next = await api.ok('GET', `/replays?limit=1&cursor=${page.next_cursor}`);
  expect(next.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(2));
});

test('without Temporal it is taken down, can be cancelled, and is started once Temporal is back', async () => {
  const away = await startInstallation({ TEMPORAL_ADDRESS: '127.0.0.1:1' }, { worker: false });
  try {
    const failed = await makeFailed(away, receiver, 3);
    await failed.resume();
    const ask = () => away.api.ok('POST', path(failed.webhook), { since: SINCE });
    const [one, other] = [await ask(), await ask()];
    expect(await away.api.ok('GET', `/replays/${one.id}`)).toMatchObject({
      status: 'running',
      total: null,
      sent: 0,
      source: 'database',
    });
    expect(await away.api.call('POST', `/replays/${other.id}/cancel`)).toMatchObject({
      status: 202,
      body: { status: 'cancelled' },
    });
    const env = { ...away.env, TEMPORAL_ADDRESS: process.env.POSTHORN_TEST_TEMPORAL_ADDRESS! };
    const back = await startWorker(
      readConfig({ ...env, POSTHORN_RECONCILE_EVERY: '100ms', POSTHORN_RECONCILE_AFTER: '100ms' }),
      log,
    );
    try {
      const ended = await untilReplay(away, one.id, 'completed', ({ status }) => status === 'completed');
      expect(ended).toMatchObject({ total: 3, sent: 3, skipped: 0 });
      await untilSent(away, failed.webhook);
      expect(arrived(receiver)).toEqual([...failed.events].sort());
      expect(await away.api.ok('GET', `/replays/${other.id}`)).toMatchObject({ status: 'cancelled', sent: 0 });
    } finally {
      await back.stop();
    }
  } finally {
    await away.stop();
  }
});
