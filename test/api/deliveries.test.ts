import { DELIVERY_STATES, type DeliveryState } from '../../src/domain/delivery';
import { type Stage, type Staged, startStage } from './states';

let stage: Stage;
/** One delivery in each state; `pending` waits behind an `in_progress` one of its own. */
const one = {} as Record<DeliveryState, Staged>;

beforeAll(async () => {
  stage = await startStage();
  for (const state of DELIVERY_STATES) one[state] = await stage.make(state);
});
afterAll(() => stage?.stop());

const list = async (query: string): Promise<{ id: string; status: string }[]> =>
  (await stage.posthorn.api.ok('GET', `/deliveries?${query}`)).data;

test.each(DELIVERY_STATES)('the list by state %s has what is in that state, and nothing else', async (state) => {
  const found = await list(`state=${state}`);
  expect(found.map(({ status }) => status)).toEqual(found.map(() => state));
  expect(found.map(({ id }) => id)).toContain(one[state].id);
});

test('the lists by state together are the list of all', async () => {
  const byState = await Promise.all(DELIVERY_STATES.map((state) => list(`state=${state}`)));
  const all = await list('limit=200');
  expect(byState.flatMap((found) => found.map(({ id }) => id)).sort()).toEqual(all.map(({ id }) => id).sort());
});

test('lists by webhook, event and type agree', async () => {
  const { api } = stage.posthorn;
  const { id, webhook, event } = one.failed;
  const { event_type } = await api.ok('GET', `/deliveries/${id}`);
  for (const path of [
    `/deliveries?webhook_id=${webhook}`,
    `/webhooks/${webhook}/deliveries`,
    `/events/${event}/deliveries`,
    `/deliveries?event_type=${event_type}`,
    `/deliveries?status=failed&webhook_id=${webhook}&event_type=${event_type}`,
  ]) {
    const { data } = await api.ok('GET', path);
    expect([path, data.map((delivery: { id: string }) => delivery.id)]).toEqual([path, [id]]);
  }
  expect(await list(`state=delivered&webhook_id=${webhook}`)).toEqual([]);
});

test('a list is walked page by page within its window', async () => {
  const { api } = stage.posthorn;
  const all = await list('limit=200');
  const walked: string[] = [];
  for (let path: string | null = '/deliveries?limit=3'; path; ) {
    const page: { data: { id: string }[]; next_cursor: string | null } = await api.ok('GET', path);
    walked.push(...page.data.map(({ id }) => id));
    path = page.next_cursor && `/deliveries?limit=3&cursor=${page.next_cursor}`;
  }
  expect(walked).toEqual(all.map(({ id }) => id));
  expect(await list(`until=${new Date(Date.now() - 3_600_000).toISOString()}`)).toEqual([]);
  expect(await list(`since=${new Date(Date.now() + 3_600_000).toISOString()}`)).toEqual([]);
});

test('what ended says when, what waits says until when, what is held says why', async () => {
  const { api } = stage.posthorn;
  const get = (state: DeliveryState) => api.ok('GET', `/deliveries/${one[state].id}`);
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
  const delivered = await get('delivered');
  expect(delivered).toMatchObject({ attempt_count: 1, last_status_code: 204, ended_at: time, next_attempt_at: null });
  expect(delivered.delivered_at).toBe(delivered.ended_at);
  const took = { last_attempt_at: time, response_time_ms: expect.any(Number) };
  for (const state of ['delivered', 'failed', 'retrying', 'cancelled'] as const) {
    const { attempts, ...shown } = await get(state);
    expect(shown).toMatchObject(took);
    expect([shown.last_attempt_at, shown.response_time_ms]).toEqual([attempts[0].started_at, attempts[0].duration_ms]);
    expect(await list(`state=${state}`)).toContainEqual(expect.objectContaining({ id: one[state].id, ...took }));
  }
  const none = { last_attempt_at: null, response_time_ms: null };
  for (const state of ['pending', 'held', 'in_progress'] as const) expect(await get(state)).toMatchObject(none);
  expect(await get('failed')).toMatchObject({
    failed_because: 'exhausted',
    last_status_code: 500,
    ended_at: time,
    delivered_at: null,
  });
  expect(await get('retrying')).toMatchObject({ attempt_count: 1, next_attempt_at: time, ended_at: null });
  expect(await get('held')).toMatchObject({ held_because: 'paused', attempt_count: 0, next_attempt_at: null });
  expect(await get('pending')).toMatchObject({ attempt_count: 0, attempts: [] });
  expect(await get('pending')).not.toHaveProperty('held_because');
  expect(await get('cancelled')).toMatchObject({ ended_at: time, delivered_at: null });
});

test('an attempt shows what was sent and what came back, and nothing that signs', async () => {
  const { api } = stage.posthorn;
  const { id, event, webhook } = one.failed;
  const delivery = await api.ok('GET', `/deliveries/${id}`);
  const sent = stage.receiver.requests.find((request) => request.headers['webhook-id'] === event)!;
  expect(delivery.attempts).toEqual([
    {
      id: expect.stringMatching(/^att_/),
      number: 1,
      trigger: 'schedule',
      started_at: expect.any(String),
      duration_ms: expect.any(Number),
      outcome: 'failed',
      status_code: 500,
      error: null,
      request: { headers: expect.any(Object), body: sent.body.toString('utf8') },
      response: { headers: expect.objectContaining({ 'x-why': 'test' }), body: 'so', body_base64: null, cut: null },
      remote_address: '127.0.0.1',
    },
  ]);
  const { headers } = delivery.attempts[0].request;
  expect(headers).toMatchObject({
    'webhook-id': event,
    'webhook-timestamp': sent.headers['webhook-timestamp'],
    'webhook-signature': '[redacted]',
    'X-Webhook-Signature': '[redacted]',
    'X-Webhook-Delivery': id,
  });
  for (const name of ['webhook-signature', 'x-webhook-signature']) {
    expect(JSON.stringify(delivery)).not.toContain(sent.headers[name]);
  }
  expect(await api.ok('GET', `/webhooks/${webhook}/deliveries/${id}`)).toEqual(delivery);
});

test('an endpoint that is not there is an error with a code, without an answer', async () => {
  const { api } = stage.posthorn;
  await api.createWebhook({ url: 'http://127.0.0.1:9' }, { events: ['nobody'], retry_policy: { schedule: [] } });
  const id = await api.onlyDelivery((await api.publish('nobody')).id);
  const { attempts, ...shown } = await api.untilStatus(id, 'failed');
  expect(shown).toMatchObject({ last_attempt_at: expect.any(String), response_time_ms: null });
  expect(attempts).toMatchObject([{ status_code: null, error: { code: 'connection_refused' }, response: null }]);
});

test('the status comes from the workflow where one runs, else from the record', async () => {
  const { api } = stage.posthorn;
  const { next_attempt_at } = await api.delivery(one.retrying.id);
  const live = await api.ok('GET', `/deliveries/${one.retrying.id}/status`);
  expect(live).toMatchObject({
    id: one.retrying.id,
    status: 'retrying',
    attempt_count: 1,
    last_attempt: { number: 1, status_code: 500, error_code: null },
    source: 'workflow',
  });
  // Each side takes the time itself when it hears of the failure.
  expect(Math.abs(Date.parse(live.next_attempt_at) - Date.parse(next_attempt_at!))).toBeLessThan(60_000);

  for (const state of ['delivered', 'failed', 'cancelled', 'held', 'pending'] as const) {
    const recorded = await api.ok('GET', `/deliveries/${one[state].id}/status`);
    expect(recorded).toMatchObject({ id: one[state].id, status: state, source: 'database' });
  }
});

test('without a worker to ask, the record answers', async () => {
  const { api } = stage.posthorn;
  stage.answer(one.pending, 204);
  stage.answer(one.in_progress, 204);
  await api.untilStatus(one.in_progress.id, 'delivered');
  await api.untilStatus(one.pending.id, 'delivered');
  await stage.posthorn.worker!.stop();
  const recorded = await api.ok('GET', `/deliveries/${one.retrying.id}/status`);
  expect(recorded).toMatchObject({ id: one.retrying.id, status: 'retrying', attempt_count: 1, source: 'database' });
  expect(recorded.next_attempt_at).toBe((await api.delivery(one.retrying.id)).next_attempt_at);
});
