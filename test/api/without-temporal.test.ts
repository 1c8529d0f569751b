import { parsePublicId } from '../../src/domain/ids';
import { type Installation, startInstallation } from '../support/installation';
import { expectProblem, send, sql } from './support';

/** Temporal is not there: what belongs to Postgres works, the rest says that Temporal is away. */

let posthorn: Installation;
beforeAll(async () => {
  posthorn = await startInstallation({ TEMPORAL_ADDRESS: '127.0.0.1:1' }, { worker: false });
  await posthorn.api.createWebhook({ url: 'http://127.0.0.1:9' });
});
afterAll(() => posthorn?.stop());

/** A new delivery whose queue row looks as if a workflow held it. */
async function heldByWorkflow(change: string): Promise<string> {
  const id = await published();
  await sql(posthorn, `update delivery_queue set ${change} where delivery_id = $1`, [parsePublicId('delivery', id)]);
  return id;
}

const published = async () => posthorn.api.onlyDelivery((await posthorn.api.publish()).id);
const IN_PROGRESS = 'posting = 1, holder = (select id from lease_holders limit 1)';
const TOMORROW = new Date(Date.now() + 86_400_000).toISOString();
const RETRYING = `timed = true, attempt = 2, step = 2, next_attempt_at = now() + interval '1 h'`;

test('without Temporal the api is alive, and ready: publishing works', async () => {
  const { api } = posthorn;
  expect(await send(api, 'GET', '/livez', { key: null })).toMatchObject({ status: 200, body: { status: 'ok' } });
  const ready = await send(api, 'GET', '/readyz', { key: null });
  expect(ready).toMatchObject({ status: 200, body: { status: 'ready', database: 'ok', temporal: 'unreachable' } });
  expect(ready.body.partition_weeks_ahead).toBeGreaterThanOrEqual(2);
  expect(await api.call('POST', '/events', { type: 'order.created', data: {} })).toMatchObject({ status: 202 });
});

test('the status comes from the record', async () => {
  const { api } = posthorn;
  expect(await api.ok('GET', `/deliveries/${await published()}/status`)).toMatchObject({
    status: 'pending',
    attempt_count: 0,
    next_attempt_at: null,
    source: 'database',
  });
  const id = await heldByWorkflow(RETRYING);
  expect(await api.ok('GET', `/deliveries/${id}/status`)).toEqual({
    id,
    status: 'retrying',
    attempt_count: 2,
    next_attempt_at: (await api.delivery(id)).next_attempt_at,
    source: 'database',
  });
});

test.each([
  ['retry', 'in_progress', IN_PROGRESS, { status: 'in_progress' }],
  ['retry', 'retrying', RETRYING, { status: 'pending' }],
  ['cancel', 'retrying', RETRYING, { status: 'cancelled', attempt_count: 2 }],
  ['cancel', 'in_progress', IN_PROGRESS, { status: 'in_progress' }],
  ['reschedule', 'retrying', RETRYING, { status: 'retrying', next_attempt_at: TOMORROW }],
])('%s of a delivery that is %s is met by the record', async (action, state, change, after) => {
  const { api } = posthorn;
  await sql(posthorn, 'insert into lease_holders default values');
  const id = await heldByWorkflow(change);
  expect(await api.delivery(id)).toMatchObject({ status: state });
  const body = action === 'reschedule' ? { at: TOMORROW } : undefined;
  expect(await api.call('POST', `/deliveries/${id}/${action}`, body)).toMatchObject({ status: 202, body: after });
  const { data } = await api.ok('GET', `/audit-log?target=${id}`);
  expect(data.map((line: { action: string }) => line.action)).toEqual([`delivery.${action}`]);
});

test('what is being cancelled is not sent again', async () => {
  const { api } = posthorn;
  const id = await heldByWorkflow(IN_PROGRESS);
  await api.ok('POST', `/deliveries/${id}/cancel`);
  expectProblem(await api.call('POST', `/deliveries/${id}/retry`), { status: 409, code: 'state_conflict' });
  const { data } = await api.ok('GET', `/audit-log?target=${id}`);
  expect(data).toHaveLength(1);
});

test('what waits in the queue, or has ended, needs no Temporal', async () => {
  const { api } = posthorn;
  const id = await published();
  expect(await api.call('POST', `/deliveries/${id}/retry`)).toMatchObject({ status: 202, body: { status: 'pending' } });
  expect(await api.call('POST', `/deliveries/${id}/cancel`)).toMatchObject({
    status: 202,
    body: { status: 'cancelled' },
  });
  expect(await api.call('POST', `/deliveries/${id}/retry`)).toMatchObject({ status: 202, body: { status: 'pending' } });
});

test('a test of a webhook that cannot be started is refused, and nothing of it remains', async () => {
  const { api } = posthorn;
  const { id } = await api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['never'] });
  for (const query of ['', '?wait=true']) {
    const refused = await api.call('POST', `/webhooks/${id}/test${query}`);
    expectProblem(refused, { status: 503, code: 'workflow_engine_unavailable' });
  }
  expect(await api.ok('GET', `/webhooks/${id}/tests`)).toEqual({ data: [], next_cursor: null });
});

test('the api is not ready with less than two weeks of partitions, and says so', async () => {
  const partitions = await sql<{ name: string }>(
    posthorn,
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'events'::regclass order by 1 desc`,
  );
  for (const { name } of partitions.slice(0, 4)) {
    await sql(posthorn, `alter table events detach partition ${name}`);
    await sql(posthorn, `alter table ${name} rename to gone_${name}`);
  }
  expect(await send(posthorn.api, 'GET', '/readyz', { key: null })).toMatchObject({
    status: 503,
    body: { status: 'not_ready', database: 'ok', partition_weeks_ahead: 1 },
  });
  expect(await posthorn.api.call('POST', '/events', { type: 'a', data: {} })).toMatchObject({ status: 202 });
});
