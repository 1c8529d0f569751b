import { type Stage, type Staged, startStage } from './states';
import { expectBadField, expectProblem, sql } from './support';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage?.stop());

const HOUR_MS = 3_600_000;
const reschedule = ({ id }: Pick<Staged, 'id'>, body: unknown) =>
  stage.posthorn.api.call('POST', `/deliveries/${id}/reschedule`, body);

test('a later time moves the timer, in the record and in the workflow', async () => {
  const one = await stage.make('retrying');
  const at = new Date(Date.now() + 5 * HOUR_MS).toISOString();
  expect(await reschedule(one, { at })).toMatchObject({ status: 202 });
  expect(await stage.until(one, 'moved', (d) => d.next_attempt_at === at)).toMatchObject({
    status: 'retrying',
    attempt_count: 1,
  });
  expect(await stage.posthorn.api.ok('GET', `/deliveries/${one.id}/status`)).toMatchObject({
    source: 'workflow',
    next_attempt_at: at,
  });
});

test('a time that is over means now; the attempt is one of the schedule', async () => {
  const one = await stage.make('retrying');
  await reschedule(one, { at: '2020-01-01T00:00:00+01:00' });
  const delivery = await stage.until(one, 'tried again', (d) => d.status === 'retrying' && d.attempt_count === 2);
  expect(delivery.attempts.map(({ trigger }) => trigger)).toEqual(['schedule', 'schedule']);
});

test.each(['pending', 'held', 'in_progress', 'delivered', 'failed', 'cancelled'] as const)(
  'one that is %s has no time to move',
  async (state) => {
    const one = await stage.make(state);
    const answer = await reschedule(one, { at: new Date(Date.now() + HOUR_MS) });
    expectProblem(answer, { status: 409, code: 'state_conflict' });
    expect(answer.body.detail).toContain(state);
    expect((await stage.posthorn.api.delivery(one.id)).status).toBe(state);
  },
);

test.each<[string, unknown, string, RegExp]>([
  ['no time', {}, 'at', /RFC 3339/],
  ['no body', undefined, 'body', /is required: an object/],
  ['a time in words', { at: 'tomorrow' }, 'at', /RFC 3339/],
  ['a time without zone', { at: '2026-01-01T00:00:00' }, 'at', /RFC 3339/],
  ['a number', { at: 1_900_000_000 }, 'at', /RFC 3339/],
  ['a time in two months', { at: new Date(Date.now() + 60 * 24 * HOUR_MS) }, 'at', /within 30 days/],
  ['another field', { at: new Date(), by: 'me' }, 'by', /is not known here/],
])('%s is refused', async (_what, body, field, rule) => {
  const one = await stage.make('held');
  expectBadField(await reschedule(one, body), field, rule);
});

test('every action is in the audit log, refused ones are not', async () => {
  const { api } = stage.posthorn;
  const one = await stage.make('retrying');
  const at = new Date(Date.now() + HOUR_MS).toISOString();
  await reschedule(one, { at });
  await api.ok('POST', `/deliveries/${one.id}/retry`);
  await stage.until(one, 'tried twice', (d) => d.status === 'retrying' && d.attempt_count === 2);
  await api.ok('POST', `/deliveries/${one.id}/cancel`);
  await api.untilStatus(one.id, 'cancelled');
  expect((await reschedule(one, { at })).status).toBe(409);
  const entries = await sql(
    stage.posthorn,
    'select actor, action, details from audit_log where target = $1 order by id',
    [one.id],
  );
  const [key] = await sql<{ id: string }>(stage.posthorn, 'select id from api_keys');
  const actor = key!.id;
  expect(entries).toEqual([
    { actor, action: 'delivery.reschedule', details: { at } },
    { actor, action: 'delivery.retry', details: {} },
    { actor, action: 'delivery.cancel', details: {} },
  ]);
});

test('actions take no settings', async () => {
  const one = await stage.make('held');
  for (const action of ['retry', 'cancel']) {
    const answer = await stage.posthorn.api.call('POST', `/deliveries/${one.id}/${action}`, { force: true });
    expectBadField(answer, 'force', /is not known here/);
  }
  expect((await stage.posthorn.api.delivery(one.id)).status).toBe('held');
});
