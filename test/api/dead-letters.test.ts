import { newUuid, toPublicId } from '../../src/domain/ids';
import type { TestApi } from '../support/api';
import { makeFailed } from '../support/failed';
import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';
import { arrived, SINCE, untilReplay, untilSent } from './replay-support';
import { expectBadField, otherTenant, sql } from './support';

let posthorn: Installation;
let api: TestApi;
let receiver: Receiver;

beforeAll(async () => {
  posthorn = await startInstallation();
  api = posthorn.api;
});
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());
afterAll(() => posthorn?.stop());

const list = async (query: string): Promise<string[]> =>
  (await api.ok('GET', `/dead-letters?${query}`)).data.map(({ id }: { id: string }) => id);
const replay = (body: object) => api.ok('POST', '/dead-letters/replay', body);
const discard = (body: object) => api.ok('POST', '/dead-letters/discard', body);
const completed = (id: string) => untilReplay(posthorn, id, 'completed', ({ status }) => status === 'completed');

test('a delivery that failed is a dead letter with its last attempt, until it is sent again', async () => {
  receiver.setHandler((_, n) => (n === 1 ? 'reset' : { status: 204 }));
  const { id: webhook } = await api.createWebhook(receiver, { events: ['dead.one'], retry_policy: { schedule: [] } });
  const event = await api.publish('dead.one');
  const id = await api.onlyDelivery(event.id);
  await api.untilStatus(id, 'failed');
  const { data, next_cursor } = await api.ok('GET', '/dead-letters');
  expect({ data, next_cursor }).toEqual({
    data: [
      {
        id,
        event_id: event.id,
        event_type: 'dead.one',
        webhook_id: webhook,
        failed_because: 'exhausted',
        last_status_code: null,
        last_error: expect.objectContaining({ code: 'connection_reset', message: expect.stringMatching(/./) }),
        attempt_count: 1,
        created_at: expect.any(String),
        failed_at: expect.any(String),
      },
    ],
    next_cursor: null,
  });
  await completed((await replay({ webhook_id: webhook })).id);
  const delivery = await api.untilStatus(id, 'delivered');
  expect(delivery.attempts.map(({ trigger }) => trigger)).toEqual(['schedule', 'replay']);
  expect(arrived(receiver)).toEqual([event.id, event.id]);
  expect(await list('')).toEqual([]);
});

test('the list is walked page by page, newest first, and filtered', async () => {
  const [one, two] = [await makeFailed(posthorn, receiver, 3), await makeFailed(posthorn, receiver, 2)];
  const all = [...one.deliveries, ...two.deliveries].reverse();
  const walked: string[] = [];
  for (let path: string | null = '/dead-letters?limit=2'; path; ) {
    const page: { data: { id: string }[]; next_cursor: string | null } = await api.ok('GET', path);
    walked.push(...page.data.map(({ id }) => id));
    path = page.next_cursor && `/dead-letters?limit=2&cursor=${page.next_cursor}`;
  }
  expect(walked).toEqual(all);
  expect(await list(`webhook_id=${two.webhook}`)).toEqual([...two.deliveries].reverse());
  expect(await list(`event_type=${one.type}`)).toEqual([...one.deliveries].reverse());
  expect(await list(`until=${SINCE}`)).toEqual([]);
  expect(await list(`since=${new Date(Date.now() + 60_000).toISOString()}&until=2100-01-01T00:00:00Z`)).toEqual([]);
});

test('what is discarded stays failed, is replayed with its webhook and not with the dead letters', async () => {
  const { webhook, deliveries, events, resume } = await makeFailed(posthorn, receiver, 4);
  await resume();
  const [discarded, ...kept] = deliveries as [string, ...string[]];
  expect(await discard({ delivery_ids: [discarded] })).toEqual({ discarded: 1, more: false });
  expect(await discard({ delivery_ids: [discarded] })).toEqual({ discarded: 0, more: false });
  expect(await list(`webhook_id=${webhook}`)).toEqual([...kept].reverse());
  expect(await api.delivery(discarded)).toMatchObject({ status: 'failed' });

  expect(await completed((await replay({ webhook_id: webhook })).id)).toMatchObject({ total: 3, sent: 3 });
  await untilSent(posthorn, webhook);
  expect(arrived(receiver)).toEqual(events.slice(1).sort());
  const whole = await api.ok('POST', `/webhooks/${webhook}/replay`, { since: SINCE });
  expect(await completed(whole.id)).toMatchObject({ total: 1, sent: 1 });
  await untilSent(posthorn, webhook);
  expect(arrived(receiver)).toEqual([...events].sort());
});

test('a filter discards what it matches, and the audit log says so', async () => {
  const [one, two] = [await makeFailed(posthorn, receiver, 3), await makeFailed(posthorn, receiver, 2)];
  expect(await discard({ webhook_id: one.webhook, event_types: [two.type] })).toEqual({ discarded: 0, more: false });
  expect(await discard({ event_types: [one.type], until: SINCE, since: '2026-01-01T00:00:00Z' })).toMatchObject({
    discarded: 0,
  });
  expect(await discard({ event_types: [one.type] })).toEqual({ discarded: 3, more: false });
  expect(await list(`webhook_id=${one.webhook}`)).toEqual([]);
  expect(await list(`webhook_id=${two.webhook}`)).toHaveLength(2);
  const [entry] = await sql<{ action: string; details: object }>(
    posthorn,
    'select action, details from audit_log order by id desc limit 1',
  );
  expect(entry).toMatchObject({ action: 'dead_letters.discard', details: { discarded: 3, eventTypes: [one.type] } });
});

test('a replay of dead letters takes event types across webhooks, and a rate', async () => {
  const [one, two] = [await makeFailed(posthorn, receiver, 2), await makeFailed(posthorn, receiver, 2)];
  const { type } = await makeFailed(posthorn, receiver, 1);
  await one.resume();
  await two.resume();
  const begun = await replay({ event_types: [one.type, two.type], rate_limit: '50/1s', since: SINCE });
  expect(begun).toMatchObject({ webhook_id: null, dead_letters: true, statuses: ['failed'], rate_limit: '50/1s' });
  expect(await completed(begun.id)).toMatchObject({ total: 4, sent: 4, skipped: 0 });
  await untilSent(posthorn, one.webhook);
  await untilSent(posthorn, two.webhook);
  expect(arrived(receiver)).toEqual([...one.events, ...two.events].sort());
  expect(await list(`event_type=${type}`)).toHaveLength(1);
});

test('another tenant can neither see, send nor discard dead letters', async () => {
  const { webhook, deliveries } = await makeFailed(posthorn, receiver, 2);
  const other = await otherTenant(posthorn);
  expect(await other.ok('GET', `/dead-letters?webhook_id=${webhook}`)).toEqual({ data: [], next_cursor: null });
  expect(await other.ok('POST', '/dead-letters/discard', {})).toEqual({ discarded: 0, more: false });
  expect(await other.ok('POST', '/dead-letters/discard', { delivery_ids: deliveries })).toMatchObject({ discarded: 0 });
  expectBadField(await other.call('POST', '/dead-letters/replay', { webhook_id: webhook }), 'webhook_id', /webhook/);
  const { id } = await other.ok('POST', '/dead-letters/replay', {});
  const ended = await untilReplay({ ...posthorn, api: other }, id, 'completed', ({ status }) => status === 'completed');
  expect(ended).toMatchObject({ total: 0, sent: 0, skipped: 0 });
  expect(await list(`webhook_id=${webhook}`)).toHaveLength(2);
});

test('what is asked for wrongly is refused, and says why', async () => {
  const ask = (what: string, body: object) => api.call('POST', `/dead-letters/${what}`, body);
  const id = 'del_01m84me0ydf0rvm8yqeamr10td';
  for (const what of ['replay', 'discard']) {
    expectBadField(await ask(what, { since: SINCE, until: SINCE }), 'since', /before until/);
    expectBadField(await ask(what, { since: 'yesterday' }), 'since', /RFC 3339/);
    expectBadField(await ask(what, { webhook_id: id }), 'webhook_id', /wh_/);
  }
  expectBadField(await ask('replay', { delivery_ids: [id] }), 'delivery_ids', /not known/);
  expectBadField(await ask('discard', { delivery_ids: [id], since: SINCE }), 'delivery_ids', /together/);
  const tooMany = Array.from({ length: 1_001 }, () => toPublicId('delivery', newUuid()));
  expectBadField(await ask('discard', { delivery_ids: tooMany }), 'delivery_ids', /./);
  expectBadField(await ask('discard', { rate_limit: '1/1s' }), 'rate_limit', /not known/);
});
