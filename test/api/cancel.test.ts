import { type Stage, startStage } from './states';
import { expectProblem, sql } from './support';

let stage: Stage;
beforeEach(async () => {
  stage = await startStage();
});
afterEach(() => stage?.stop());

const cancel = (id: string) => stage.posthorn.api.call('POST', `/deliveries/${id}/cancel`);
const arrivals = (event: string) => stage.receiver.requests.filter((r) => r.headers['webhook-id'] === event);

test.each(['pending', 'held', 'retrying'] as const)(
  'one that is %s is cancelled, and leaves the queue',
  async (state) => {
    const { id, event } = await stage.make(state);
    const before = arrivals(event).length;
    expect(await cancel(id)).toMatchObject({ status: 202 });
    const delivery = await stage.posthorn.api.untilStatus(id, 'cancelled');
    expect(delivery).toMatchObject({ attempt_count: before, next_attempt_at: null });
    // Without a queue row nothing will ever attempt it.
    expect(
      await sql(
        stage.posthorn,
        'select 1 from delivery_queue q join deliveries d on d.id = q.delivery_id where d.state <> $1',
        ['pending'],
      ),
    ).toEqual([]);
    expect(arrivals(event)).toHaveLength(before);
  },
);

test('an attempt under way is not torn down: if it succeeds, it counts', async () => {
  const { id } = await stage.make('in_progress');
  expect(await cancel(id)).toMatchObject({ status: 202, body: { status: 'in_progress' } });
  stage.release(204);
  expect(await stage.posthorn.api.untilStatus(id, 'delivered')).toMatchObject({ attempt_count: 1 });
});

test('if the attempt under way fails, it was the last one', async () => {
  const { id, event } = await stage.make('in_progress');
  await cancel(id);
  stage.release(500);
  expect(await stage.posthorn.api.untilStatus(id, 'cancelled')).toMatchObject({
    attempt_count: 1,
    attempts: [{ number: 1, status_code: 500 }],
  });
  expect(arrivals(event)).toHaveLength(1);
});

test('cancelling twice is as good as once', async () => {
  const { id } = await stage.make('cancelled');
  expect(await cancel(id)).toMatchObject({ status: 202, body: { status: 'cancelled' } });
});

test.each(['delivered', 'failed'] as const)('one that is %s cannot be cancelled', async (state) => {
  const { id } = await stage.make(state);
  const answer = await cancel(id);
  expectProblem(answer, { status: 409, code: 'state_conflict' });
  expect(answer.body.detail).toContain(state);
  expect((await stage.posthorn.api.delivery(id)).status).toBe(state);
});

test('deleting a webhook cancels what it had not been sent, attempts under way apart', async () => {
  const { api } = stage.posthorn;
  const live = [await stage.make('held'), await stage.make('retrying')];
  const ended = await stage.make('delivered');
  for (const { webhook } of [...live, ended]) await api.ok('DELETE', `/webhooks/${webhook}`);
  for (const { id } of live) await api.untilStatus(id, 'cancelled');
  expect((await api.delivery(ended.id)).status).toBe('delivered');
});
