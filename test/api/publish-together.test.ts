import { type Installation, startInstallation } from '../support/installation';
import { type Receiver, startReceiver } from '../support/receiver';

/** Filters, versions, minimal payloads and schemas, by every way of publishing. */
let posthorn: Installation;
let receiver: Receiver;
beforeAll(async () => {
  posthorn = await startInstallation();
  receiver = await startReceiver();
});
afterAll(async () => {
  await posthorn?.stop();
  await receiver?.close();
});

type Way = (events: object[]) => Promise<{ deliveries: number; status: number }[]>;

const one: Way = async (events) => {
  const answers = [];
  for (const event of events) answers.push(await posthorn.api.call('POST', '/events', event));
  return answers.map(({ status, body }) => ({ status, deliveries: body.deliveries }));
};
const once: Way = async (events) => {
  const answers = [];
  for (const event of events) {
    const headers: Record<string, string> = { 'idempotency-key': `together-${answers.length}-${Math.random()}` };
    answers.push(await posthorn.api.call('POST', '/events', event, headers));
  }
  return answers.map(({ status, body }) => ({ status, deliveries: body.deliveries }));
};
const batch: Way = async (events) => {
  const { data } = await posthorn.api.ok('POST', '/events/batch', { events });
  return data.map(({ status, deliveries }: { status: number; deliveries: number }) => ({ status, deliveries }));
};

test.each([
  ['one by one', 'single', one],
  ['with an Idempotency-Key', 'keyed', once],
  ['in a batch', 'batch', batch],
])('events published %s meet filters, versions, payload modes and schemas alike', async (_, type, publish) => {
  const { api } = posthorn;
  const schema = { type: 'object', required: ['total'], properties: { total: { type: 'number' } } };
  await api.ok('POST', '/event-types', { name: `together.${type}`, key_fields: ['total'] });
  await api.ok('POST', `/event-types/together.${type}/versions`, { version: '1.0', schema });
  const events = [`together.${type}`];
  await api.createWebhook(receiver, { events, filter: { 'data.total': { $gt: 100 } } });
  await api.createWebhook(receiver, { events, payload_version: '2.0' });
  await api.createWebhook(receiver, { events, payload: 'minimal' });
  const before = receiver.requests.length;
  const published = await publish([
    { type: events[0], data: { total: 50, note: 'a' } },
    { type: events[0], data: { total: 500, note: 'b' } },
    { type: events[0], data: { total: 'many' } },
    { type: events[0], version: '2.0', data: { total: 1, note: 'c' } },
  ]);
  expect(published.map(({ status }) => status)).toEqual([202, 202, 422, 202]);
  // The minimal one takes all; the filtered one what is over 100; the pinned one its version.
  expect(published.map(({ deliveries }) => deliveries)).toEqual([1, 2, undefined, 2]);
  await receiver.waitFor(before + 5);
  const notes = receiver.requests
    .slice(before)
    .map(({ body }) => (JSON.parse(body.toString()) as { data: { note?: string } }).data.note ?? 'minimal');
  expect(notes.sort()).toEqual(['b', 'c', 'minimal', 'minimal', 'minimal']);
});
