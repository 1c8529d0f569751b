import { newUuid, toPublicId } from '../../src/domain/ids';
import { type Stage, startStage } from './states';
import { expectBadField, otherTenant, sql } from './support';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage?.stop());

const replay = (event: string, body?: object) => stage.posthorn.api.call('POST', `/events/${event}/replay`, body);
const arrivedAt = (path: string, event: string) =>
  stage.receiver.requests.filter(({ headers, ...one }) => headers['webhook-id'] === event && one.path === path);

test.each(['delivered', 'failed', 'cancelled'] as const)(
  'a delivery that is %s is sent again, as it was',
  async (state) => {
    const one = await stage.make(state);
    stage.answer(one, 204);
    const answer = await replay(one.event);
    expect(answer).toMatchObject({
      status: 202,
      body: { data: [{ webhook_id: one.webhook, delivery_id: one.id, result: 'replayed' }] },
    });
    const again = await stage.until(one, 'delivered again', (d) => d.status === 'delivered' && d.attempt_count === 2);
    expect(again.attempts.map(({ trigger }) => trigger)).toEqual(['schedule', 'replay']);
    const [first, second, ...more] = arrivedAt(one.path, one.event);
    expect(more).toEqual([]);
    expect(second!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
    expect(second!.body.equals(first!.body)).toBe(true);
  },
);

test.each(['pending', 'held', 'in_progress', 'retrying'] as const)(
  'a delivery that is %s is left alone',
  async (state) => {
    const one = await stage.make(state);
    const before = await stage.posthorn.api.delivery(one.id);
    expect(await replay(one.event)).toMatchObject({
      status: 202,
      body: { data: [{ webhook_id: one.webhook, delivery_id: one.id, result: 'already_under_way' }] },
    });
    expect(await stage.posthorn.api.delivery(one.id)).toEqual(before);
  },
);

test('a webhook that was made later gets it, once, whether it is named or not', async () => {
  const { api } = stage.posthorn;
  const one = await stage.make('delivered');
  stage.answer({ ...one, path: '/later' }, 204);
  stage.answer({ ...one, path: '/other' }, 204);
  const later = await api.createWebhook(stage.receiver, {
    url: `${stage.receiver.url}/later`,
    events: [one.path.slice(1)],
  });
  const other = await api.createWebhook(stage.receiver, { url: `${stage.receiver.url}/other`, events: ['never'] });

  const named = await replay(one.event, { webhook_ids: [other.id, other.id] });
  expect(named.body.data).toMatchObject([{ webhook_id: other.id, result: 'created' }]);
  const [{ delivery_id: made }] = named.body.data;
  const delivery = await api.untilStatus(made, 'delivered');
  expect(delivery.attempts).toMatchObject([{ number: 1, trigger: 'replay' }]);

  const all = await replay(one.event);
  const results = new Map(all.body.data.map((row: any) => [row.webhook_id, row.result]));
  expect(results).toEqual(
    new Map([
      [one.webhook, 'replayed'],
      [later.id, 'created'],
      [other.id, 'replayed'],
    ]),
  );
  const ids = (await api.deliveriesOf(one.event)).map(({ id }) => id);
  expect(ids.sort()).toEqual(all.body.data.map((row: any) => row.delivery_id).sort());
  for (const id of ids) await api.untilStatus(id, 'delivered');
  expect(arrivedAt('/later', one.event)).toHaveLength(1);
  expect(arrivedAt('/other', one.event)).toHaveLength(2);
});

test('asked for many times at once, a webhook without one gets one', async () => {
  const { api } = stage.posthorn;
  const one = await stage.make('held');
  const { id } = await api.createWebhook(stage.receiver, { events: ['never'], active: false });
  const answers = await Promise.all(Array.from({ length: 8 }, () => replay(one.event, { webhook_ids: [id] })));
  expect(answers.map(({ body }) => body.data[0].result).sort()).toEqual([
    ...Array(7).fill('already_under_way'),
    'created',
  ]);
  expect(await api.deliveriesOf(one.event)).toHaveLength(2);
});

test('a deleted webhook gets nothing', async () => {
  const one = await stage.make('delivered');
  await stage.posthorn.api.ok('DELETE', `/webhooks/${one.webhook}`);
  expect(await replay(one.event)).toMatchObject({ status: 202, body: { data: [] } });
  expectBadField(await replay(one.event, { webhook_ids: [one.webhook] }), 'webhook_ids', new RegExp(one.webhook));
});

test('webhooks of nobody or of another tenant are refused, and nothing is sent', async () => {
  const one = await stage.make('delivered');
  const other = await otherTenant(stage.posthorn);
  const foreign = await other.createWebhook(stage.receiver);
  for (const id of [foreign.id, toPublicId('webhook', newUuid())]) {
    expectBadField(await replay(one.event, { webhook_ids: [one.webhook, id] }), 'webhook_ids', new RegExp(id));
  }
  expectBadField(await replay(one.event, { webhook_ids: [one.id] }), 'webhook_ids.0', /wh_/);
  expectBadField(await replay(one.event, { webhook_ids: [] }), 'webhook_ids', /./);
  expectBadField(
    await replay(one.event, { webhook_ids: Array.from({ length: 101 }, () => toPublicId('webhook', newUuid())) }),
    'webhook_ids',
    /100/,
  );
  expect(await stage.posthorn.api.delivery(one.id)).toMatchObject({ status: 'delivered', attempt_count: 1 });
});

test('the replay of an event stands in the audit log', async () => {
  const one = await stage.make('held');
  await replay(one.event, {});
  const entries = await sql(stage.posthorn, 'select action, details from audit_log where target = $1', [one.event]);
  expect(entries).toEqual([{ action: 'event.replay', details: { webhook_ids: [one.webhook] } }]);
});
