import { type Stage, type Staged, startStage } from './states';
import { expectProblem } from './support';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage?.stop());

const retry = ({ id }: Staged) => stage.posthorn.api.call('POST', `/deliveries/${id}/retry`);
const triggers = (delivery: { attempts: { trigger: string }[] }) => delivery.attempts.map(({ trigger }) => trigger);

test('a delivery that waits for its timer is attempted at once', async () => {
  const one = await stage.make('retrying');
  stage.answer(one, 204);
  expect(await retry(one)).toMatchObject({ status: 202, body: { id: one.id, status: expect.any(String) } });
  const delivery = await stage.posthorn.api.untilStatus(one.id, 'delivered');
  expect(triggers(delivery)).toEqual(['schedule', 'manual']);
  expect(stage.arrivals(one)).toBe(2);
});

test('an attempt by hand that fails leaves the schedule as it was', async () => {
  const one = await stage.make('retrying');
  const before = await stage.posthorn.api.delivery(one.id);
  await retry(one);
  const after = await stage.until(one, 'retrying again', (d) => d.status === 'retrying' && d.attempt_count === 2);
  expect(after.next_attempt_at).toBe(before.next_attempt_at);
  expect(triggers(after)).toEqual(['schedule', 'manual']);
});

test.each(['delivered', 'failed', 'cancelled'] as const)('a delivery that is %s is sent again', async (state) => {
  const one = await stage.make(state);
  stage.answer(one, 204);
  expect(await retry(one)).toMatchObject({ status: 202 });
  const again = await stage.until(one, 'delivered again', (d) => d.status === 'delivered' && d.attempt_count === 2);
  expect(triggers(again)).toEqual(['schedule', 'manual']);
  const sent = stage.receiver.requests.filter((request) => request.headers['webhook-id'] === one.event);
  expect(sent.map((request) => request.headers['x-webhook-attempt'])).toEqual(['1', '2']);
  expect(sent[1]!.body.equals(sent[0]!.body)).toBe(true);
});

test('a delivery that is held stays so until its webhook is resumed; its attempt is a manual one then', async () => {
  const one = await stage.make('held');
  expect(await retry(one)).toMatchObject({ status: 202, body: { status: 'held', held_because: 'paused' } });
  await stage.posthorn.api.ok('PATCH', `/webhooks/${one.webhook}`, { active: true });
  const delivery = await stage.posthorn.api.untilStatus(one.id, 'delivered');
  expect(triggers(delivery)).toEqual(['manual']);
  expect(stage.arrivals(one)).toBe(1);
});

test('a delivery that is pending keeps its place; its attempt is a manual one then', async () => {
  const one = await stage.make('pending');
  expect(await retry(one)).toMatchObject({ status: 202, body: { status: 'pending' } });
  stage.answer(one, 204);
  const delivery = await stage.posthorn.api.untilStatus(one.id, 'delivered');
  expect(triggers(delivery)).toEqual(['manual']);
  expect(stage.arrivals(one)).toBe(1);
});

test('a delivery that is under way is sent again only if that attempt fails', async () => {
  const [failing, succeeding] = [await stage.make('in_progress'), await stage.make('in_progress')];
  for (const one of [failing, succeeding]) {
    expect(await retry(one)).toMatchObject({ status: 202, body: { status: 'in_progress' } });
  }
  stage.answer(succeeding, 204);
  stage.answer(failing, 500);
  const tried = await stage.until(failing, 'tried twice', (d) => d.status === 'retrying' && d.attempt_count === 2);
  expect(triggers(tried)).toEqual(['schedule', 'manual']);
  expect(await stage.posthorn.api.untilStatus(succeeding.id, 'delivered')).toMatchObject({ attempt_count: 1 });
  expect([stage.arrivals(failing), stage.arrivals(succeeding)]).toEqual([2, 1]);
});

test('the paths under /webhooks do the same', async () => {
  for (const path of ['/webhooks/deliveries/$id/retry', '/webhooks/$webhook/deliveries/$id/retry']) {
    const one = await stage.make('delivered');
    await stage.posthorn.api.ok('POST', path.replace('$id', one.id).replace('$webhook', one.webhook));
    await stage.until(one, 'delivered twice', (d) => d.status === 'delivered' && d.attempt_count === 2);
  }
});

test('what a deleted webhook got is not sent again', async () => {
  const { api } = stage.posthorn;
  const one = await stage.make('failed');
  await api.ok('DELETE', `/webhooks/${one.webhook}`);
  expectProblem(await retry(one), { status: 409, code: 'state_conflict' });
  expect(await api.delivery(one.id)).toMatchObject({ status: 'failed', attempt_count: 1 });
  expect(stage.arrivals(one)).toBe(1);
});
