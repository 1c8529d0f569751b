import { Client } from '@temporalio/client';
import { NativeConnection, Runtime } from '@temporalio/worker';
import { newUuid, toPublicId } from '../../src/domain/ids';
import { createLog } from '../../src/log';
import { startReconciler } from '../../src/relay/reconcile';
import { databaseForFile } from '../support/for-tests';
import { type Call, startTemporalProxy, type TemporalProxy } from '../support/temporal-proxy';
import { until } from '../support/until';

/** What the reconciler does in Postgres, with a Temporal that is slow, hangs or refuses; no round waits for another. */

const db = databaseForFile({ poolSize: 6, planner: 'queue' });
const tenantId = newUuid();
/** Far below what the SDK waits by itself, so that it is the proxy that says how long a call takes. */
const SLOW_MS = 1_500;
const UNAVAILABLE = 14;
const RESOURCE_EXHAUSTED = 8;
const NOT_FOUND = 5;

// What the calls come to is told here, not on the terminal.
Runtime.install({
  telemetryOptions: { logging: { filter: 'temporal_client=error,temporal_sdk_core=error', forward: {} } },
});

let temporal: TemporalProxy;
let connection: NativeConnection;
let reconciler: ReturnType<typeof startReconciler> | undefined;

beforeAll(async () => {
  await db.pool.query(`insert into tenants (id, name) values ($1, 'one')`, [tenantId]);
});
beforeEach(async () => {
  temporal = await startTemporalProxy(process.env.POSTHORN_TEST_TEMPORAL_ADDRESS!);
  connection = await NativeConnection.connect({ address: temporal.address, grpcCompression: { codec: 'none' } });
});
afterEach(async () => {
  temporal.setFate(() => ({ grpcStatus: NOT_FOUND })); // nothing that is left over waits
  await reconciler?.stop();
  await connection.close();
  await temporal.close();
  await db.pool.query('truncate delivery_queue, deliveries, webhooks, replays cascade');
});

function start(): void {
  const HOUR_MS = 3_600_000;
  reconciler = startReconciler({
    client: new Client({ connection }),
    db,
    log: createLog('silent'),
    taskQueuePrefix: `test-${newUuid()}`,
    attemptTimeoutMs: 40_000,
    everyMs: 100,
    overdueMs: 300_000,
    retention: { auditLogMs: HOUR_MS, replaysMs: HOUR_MS },
  });
}

const webhookIn = async (deletedAgo: string | null) => {
  const id = newUuid();
  await db.pool.query(
    `insert into webhooks (id, tenant_id, url, host, patterns, retry_policy, timeout_ms, deleted_at)
     values ($1, $2, 'https://example.com/', 'example.com', '{*}', '{}', 1000, now() - $3::interval)`,
    [id, tenantId, deletedAgo],
  );
  return id;
};

/** Deliveries of a webhook that wait for a retry, so many seconds late. */
async function waiting(webhookId: string, count: number, lateSeconds = -3_600): Promise<string[]> {
  const ids = Array.from({ length: count }, () => newUuid());
  await db.pool.query(
    `with queued as (
       insert into delivery_queue (delivery_id, tenant_id, event_id, webhook_id, event_type, timed, attempt, next_attempt_at)
       select id, $2, id, $3, 'a.b', true, 1, now() - $4::int * interval '1 s' from unnest($1::uuid[]) id)
     insert into deliveries (id, tenant_id, event_id, webhook_id, event_type)
     select id, $2, id, $3, 'a.b' from unnest($1::uuid[]) id`,
    [ids, tenantId, webhookId, lateSeconds],
  );
  return ids;
}

const remove = (id: string) => db.pool.query('update webhooks set deleted_at = now() where id = $1', [id]);
const untilCancelled = (webhookId: string) =>
  until(`the deliveries of ${webhookId} to be cancelled`, async () => {
    const { rows } = await db.pool.query(
      `select state, count(*)::int as n from deliveries where webhook_id = $1 group by 1`,
      [webhookId],
    );
    return rows.length === 1 && rows[0].state === 'cancelled';
  });
const signals = () => temporal.calls.filter(({ name }) => name === 'SignalWorkflowExecution');
const starts = () => temporal.calls.filter(({ name }) => name === 'StartWorkflowExecution');
const isFor = (id: string) => (call: Call) => call.body.includes(toPublicId('delivery', id));

test.each([
  ['takes its time for each call', { delayMs: SLOW_MS }],
  ['does not answer', 'hang'],
  ['is unavailable', { grpcStatus: UNAVAILABLE }],
  ['is overloaded', { grpcStatus: RESOURCE_EXHAUSTED }],
] as const)(
  'a webhook is deleted while Temporal %s: the one deleted next does not wait for its signals',
  async (_, fate) => {
    const COUNT = 400;
    temporal.setFate(({ name }) => (name === 'SignalWorkflowExecution' ? fate : 'pass'));
    start();
    const first = await webhookIn(null);
    const second = await webhookIn(null);
    const ids = await waiting(first, COUNT);
    await waiting(second, COUNT);
    await remove(first);
    await untilCancelled(first);
    await until('the first signal', () => ids.some((id) => signals().some(isFor(id))));
    await remove(second);
    await untilCancelled(second);
    // However late the second one was deleted: the first one's workflows were still being told of it.
    const told = new Set(ids.filter((id) => signals().some((call) => isFor(id)(call) && call.ended)));
    expect(told.size).toBeLessThan(COUNT);
  },
);

test('a workflow that could not be signalled is signalled again once Temporal answers', async () => {
  const COUNT = 20;
  temporal.setFate(({ name }) => (name === 'SignalWorkflowExecution' ? 'hang' : 'pass'));
  start();
  const webhook = await webhookIn(null);
  const ids = await waiting(webhook, COUNT);
  await remove(webhook);
  await until('signals that hang', () => signals().length > 0);
  await untilCancelled(webhook);
  temporal.setFate(() => ({ grpcStatus: NOT_FOUND }));
  const before = temporal.calls.length;
  const hung = ids.filter((id) => signals().some(isFor(id)));
  await until('those that hung to be signalled again', () => {
    const since = temporal.calls.slice(before);
    return hung.every((id) => since.some(isFor(id)));
  });
  await until('all to be signalled', () => ids.every((id) => signals().some(isFor(id))));
});

test('one start that hangs holds up neither the other lost retries nor the bulk replays', async () => {
  const COUNT = 100;
  const [hanging, ...others] = await waiting(await webhookIn(null), COUNT, 600);
  const replay = newUuid();
  await db.pool.query(
    `insert into replays (id, tenant_id, filter, rate_per_second, updated_at)
     values ($1, $2, '{"rate_limit":"1/1s","since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z","states":["failed"]}',
       1, now() - interval '1 hour')`,
    [replay, tenantId],
  );
  temporal.setFate((call) => {
    if (call.name !== 'StartWorkflowExecution') return 'pass';
    return isFor(hanging!)(call) ? 'hang' : 'pass';
  });
  start();
  await until('the others and the replay to be started', () => {
    const made = starts();
    return (
      others.filter((id) => made.some(isFor(id))).length >= 60 &&
      made.some(({ body }) => body.includes(toPublicId('replay', replay)))
    );
  });
  // Those of the same page; the start that hangs was not given up before.
  expect(
    starts()
      .filter(isFor(hanging!))
      .every(({ ended }) => !ended),
  ).toBe(true);
  await until('every one to be started', () => others.every((id) => starts().some(isFor(id))));
});

test('a large webhook and small ones are deleted together: the small ones are done with first', async () => {
  const large = await webhookIn('2 minutes');
  await waiting(large, 5_000);
  const small = [await webhookIn('2 minutes'), await webhookIn('2 minutes')];
  for (const id of small) await waiting(id, 3);
  const order: string[] = [];
  const seen = async (id: string) => {
    await until(`${id} to be cleared`, async () => {
      const { rows } = await db.pool.query('select 1 from delivery_queue where webhook_id = $1 limit 1', [id]);
      return rows.length === 0;
    });
    order.push(id);
  };
  start();
  await Promise.all([large, ...small].map(seen));
  expect(order.at(-1)).toBe(large);
});
