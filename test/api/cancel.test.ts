import { parsePublicId } from '../../src/domain/ids';
import { type Stage, type Staged, startStage } from './states';
import { expectProblem, sql } from './support';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage?.stop());

const cancel = ({ id }: Staged) => stage.posthorn.api.call('POST', `/deliveries/${id}/cancel`);
/** Without a queue row, nothing will ever attempt it. */
const queueRows = ({ id }: Staged) =>
  sql(stage.posthorn, 'select from delivery_queue where delivery_id = $1', [parsePublicId('delivery', id)]);

test.each(['pending', 'held', 'retrying'] as const)(
  'one that is %s is cancelled, and leaves the queue',
  async (state) => {
    const one = await stage.make(state);
    const before = stage.arrivals(one);
    expect(await queueRows(one)).toHaveLength(1);
    expect(await cancel(one)).toMatchObject({ status: 202 });
    const delivery = await stage.posthorn.api.untilStatus(one.id, 'cancelled');
    expect(delivery).toMatchObject({ attempt_count: before, next_attempt_at: null });
    expect(await queueRows(one)).toEqual([]);
    expect(stage.arrivals(one)).toBe(before);
  },
);

test('an attempt under way is not torn down: if it succeeds, it counts', async () => {
  const one = await stage.make('in_progress');
  expect(await cancel(one)).toMatchObject({ status: 202, body: { status: 'in_progress' } });
  stage.answer(one, 204);
  expect(await stage.posthorn.api.untilStatus(one.id, 'delivered')).toMatchObject({ attempt_count: 1 });
});

test('an attempt under way that fails is the last one', async () => {
  const one = await stage.make('in_progress');
  await cancel(one);
  stage.answer(one, 500);
  expect(await stage.posthorn.api.untilStatus(one.id, 'cancelled')).toMatchObject({
    attempt_count: 1,
    attempts: [{ number: 1, status_code: 500 }],
  });
  expect(stage.arrivals(one)).toBe(1);
});

test('cancelling twice is as good as once', async () => {
  expect(await cancel(await stage.make('cancelled'))).toMatchObject({ status: 202, body: { status: 'cancelled' } });
});

test.each(['delivered', 'failed'] as const)('a delivery that is %s cannot be cancelled', async (state) => {
  const one = await stage.make(state);
  const answer = await cancel(one);
  expectProblem(answer, { status: 409, code: 'state_conflict' });
  expect(answer.body.detail).toContain(state);
  expect((await stage.posthorn.api.delivery(one.id)).status).toBe(state);
});

test('deleting a webhook cancels what was not sent, and leaves what was', async () => {
  const { api } = stage.posthorn;
  const live = [await stage.make('held'), await stage.make('retrying')];
  const sent = await stage.make('delivered');
  for (const { webhook } of [...live, sent]) await api.ok('DELETE', `/webhooks/${webhook}`);
  for (const { id } of live) await api.untilStatus(id, 'cancelled');
  expect((await api.delivery(sent.id)).status).toBe('delivered');
});
