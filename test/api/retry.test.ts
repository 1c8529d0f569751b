import { type Stage, startStage, untilIs } from './states';
import { expectProblem } from './support';

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => stage?.stop());

const retry = (id: string) => stage.posthorn.api.call('POST', `/deliveries/${id}/retry`);
const triggers = (delivery: { attempts: { trigger: string }[] }) => delivery.attempts.map(({ trigger }) => trigger);
const arrivals = (event: string) => stage.receiver.requests.filter((r) => r.headers['webhook-id'] === event);

test('a delivery that waits for its timer is attempted at once', async () => {
  const { id, event } = await stage.make('retrying');
  stage.answerWith(204);
  expect(await retry(id)).toMatchObject({ status: 202, body: { id, status: expect.any(String) } });
  const delivery = await stage.posthorn.api.untilStatus(id, 'delivered');
  expect(triggers(delivery)).toEqual(['schedule', 'manual']);
  expect(arrivals(event)).toHaveLength(2);
});

test('an attempt by hand that fails leaves the schedule as it was', async () => {
  const { id } = await stage.make('retrying');
  const before = await stage.posthorn.api.delivery(id);
  await retry(id);
  const after = await untilIs(stage, id, 'retrying again', (d) => d.status === 'retrying' && d.attempt_count === 2);
  expect(after.next_attempt_at).toBe(before.next_attempt_at);
});

test.each(['delivered', 'failed', 'cancelled'] as const)('one that is %s is sent again', async (state) => {
  const { id, event } = await stage.make(state);
  const { attempt_count: before } = await stage.posthorn.api.delivery(id);
  stage.answerWith(204);
  // The webhook of a cancelled one is paused, on this stage.
  const { webhook } = { webhook: (await stage.posthorn.api.ok('GET', `/deliveries/${id}`)).webhook_id };
  await stage.posthorn.api.ok('PATCH', `/webhooks/${webhook}`, { active: true });
  expect(await retry(id)).toMatchObject({ status: 202 });
  const delivery = await untilIs(
    stage,
    id,
    'delivered by hand',
    (d) => d.status === 'delivered' && d.attempt_count === before + 1,
  );
  expect(triggers(delivery).at(-1)).toBe('manual');
  expect(arrivals(event)).toHaveLength(before + 1);
  expect(new Set(arrivals(event).map((request) => request.body.toString())).size).toBe(1);
});

test('one that is held stays so until its webhook is resumed, and then is one made by hand', async () => {
  const { id, webhook, event } = await stage.make('held');
  expect(await retry(id)).toMatchObject({ status: 202, body: { status: 'held', held_because: 'paused' } });
  await stage.posthorn.api.ok('PATCH', `/webhooks/${webhook}`, { active: true });
  const delivery = await stage.posthorn.api.untilStatus(id, 'delivered');
  expect(triggers(delivery)).toEqual(['manual']);
  expect(arrivals(event)).toHaveLength(1);
});

test('one that is pending keeps its place, and then is one made by hand', async () => {
  const { id, event } = await stage.make('pending');
  expect(await retry(id)).toMatchObject({ status: 202, body: { status: 'pending' } });
  stage.release(204);
  const delivery = await stage.posthorn.api.untilStatus(id, 'delivered');
  expect(triggers(delivery)).toEqual(['manual']);
  expect(arrivals(event)).toHaveLength(1);
});

test('one that is under way is sent again only if that attempt fails', async () => {
  const { id, event } = await stage.make('in_progress');
  expect(await retry(id)).toMatchObject({ status: 202, body: { status: 'in_progress' } });
  stage.release(500);
  const delivery = await untilIs(stage, id, 'tried twice', (d) => d.status === 'retrying' && d.attempt_count === 2);
  expect(triggers(delivery)).toEqual(['schedule', 'manual']);
  expect(arrivals(event)).toHaveLength(2);
});

test('the paths under /webhooks do the same', async () => {
  const { api } = stage.posthorn;
  for (const path of ['/webhooks/deliveries/$id/retry', '/webhooks/$webhook/deliveries/$id/retry']) {
    const { id, webhook } = await stage.make('delivered');
    await api.ok('POST', path.replace('$id', id).replace('$webhook', webhook));
    await untilIs(stage, id, 'delivered twice', (d) => d.status === 'delivered' && d.attempt_count === 2);
  }
});

test('what a deleted webhook got is not sent again', async () => {
  const { api } = stage.posthorn;
  const { id, webhook, event } = await stage.make('failed');
  await api.ok('DELETE', `/webhooks/${webhook}`);
  expectProblem(await retry(id), { status: 409, code: 'state_conflict' });
  expect(await api.delivery(id)).toMatchObject({ status: 'failed', attempt_count: 1 });
  expect(arrivals(event)).toHaveLength(1);
});
