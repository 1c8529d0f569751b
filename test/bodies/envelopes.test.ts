import { CloudEvent, HTTP } from 'cloudevents';
import { expectProblem } from '../api/support';
import { installationForFile, receiverForEach } from '../support/for-tests';
import type { ReceivedRequest } from '../support/receiver';
import { DATA, expectSigned, publishRaw, textOf } from './support';

const posthorn = installationForFile();
const receiver = receiverForEach();

const SHAPE = {
  event: '$type',
  eventId: '$id',
  createdAt: '$timestamp',
  attempt: '$attempt',
  retryable: '$retryable',
  sentAt: '$sent_at_unix',
  data: '$data',
};
const TWICE = { schedule: ['100ms'], jitter: 0 };

describe.each(['workflow', 'express'])('on the path %s', (mode) => {
  test('a declared shape says what each attempt is, and all else of it stays', async () => {
    const { api } = posthorn;
    const type = `shaped.${mode}`;
    receiver.setHandler((_, n) => ({ status: n === 1 ? 500 : 204 }));
    const settings = { events: [type], mode, envelope: { shape: SHAPE }, retry_policy: TWICE };
    const { secret } = await api.createWebhook(receiver, settings);
    const data = '{ "total": 1.0 }';
    const event = await publishRaw(api, type, data);
    const requests = await receiver.waitFor(2);
    const { timestamp } = await api.ok('GET', `/events/${event}`);
    const bodyOf = (attempt: number, retryable: boolean) => {
      const sentAt = requests[attempt - 1]!.headers['webhook-timestamp'];
      return `{"event":"${type}","eventId":"${event}","createdAt":"${timestamp}","attempt":${attempt},"retryable":${retryable},"sentAt":${sentAt},"data":${data}}`;
    };
    expect(requests.map(textOf)).toEqual([bodyOf(1, true), bodyOf(2, false)]);
    for (const request of requests) expectSigned(secret, request);
    expect(requests[1]!.headers).toMatchObject({
      'content-type': 'application/json',
      'x-webhook-attempt': '2',
      'x-webhook-retryable': 'false',
    });
    const id = await api.onlyDelivery(event);
    const shown: any = await api.untilStatus(id, 'delivered');
    expect(shown.attempts.map(({ request }: any) => request.body)).toEqual([undefined, bodyOf(2, false)]);
  });

  test('without members of the attempt, retry, replay and bulk replay have the same bytes', async () => {
    const { api } = posthorn;
    const type = `fixed.${mode}`;
    receiver.setHandler((_, n) => ({ status: n <= 2 ? 500 : 204 }));
    const { attempt: _, retryable: __, sentAt: ___, ...fixed } = SHAPE;
    const settings = { events: [type], mode, body_format: 'compact', envelope: { shape: fixed } };
    const { id: webhook } = await api.createWebhook(receiver, { ...settings, retry_policy: TWICE });
    const event = await publishRaw(api, type, DATA[3]!);
    const id = await api.onlyDelivery(event);
    await api.untilStatus(id, 'failed');
    await api.ok('POST', `/webhooks/${webhook}/replay`, { since: new Date(Date.now() - 60_000).toISOString() });
    await api.untilStatus(id, 'delivered');
    await api.ok('POST', `/deliveries/${id}/retry`);
    await receiver.waitFor(4);
    await api.untilStatus(id, 'delivered');
    await api.ok('POST', `/events/${event}/replay`, { webhook_ids: [webhook] });
    const requests = await receiver.waitFor(5);
    const [first, ...more] = requests.map(textOf);
    expect(first!.endsWith('"data":{"id":12345678901234567890,"price":1.0,"e":1E2,"z":-0}}')).toBe(true);
    expect(more).toEqual(Array(4).fill(first));
  });

  test("CloudEvents' own SDK reads both modes", async () => {
    const { api } = posthorn;
    const type = `cloud.${mode}`;
    for (const cloudevents of ['structured', 'binary']) {
      const envelope = { cloudevents, source: 'https://shop.example/eu', type_prefix: 'example.shop.' };
      const headers = { 'ce-tenant': 'acme' };
      const { id, secret } = await api.createWebhook(receiver, { events: [type], mode, envelope, headers });
      const before = receiver.requests.length;
      const event = await publishRaw(api, type, '{ "total": 1.50, "text": "é" }');
      const request = (await receiver.waitFor(before + 1)).at(-1)!;
      expectSigned(secret, request);
      const read = readCloudEvent(request);
      const { timestamp } = await api.ok('GET', `/events/${event}`);
      expect(read).toMatchObject({
        ...{ specversion: '1.0', id: event, source: 'https://shop.example/eu', type: `example.shop.${type}` },
        ...{ time: timestamp, eventversion: '1.0', data: { total: 1.5, text: 'é' } },
        // The webhook's own headers are extension attributes in binary mode.
        ...(cloudevents === 'binary' && { tenant: 'acme' }),
      });
      const shown: any = await api.untilStatus(await api.onlyDelivery(event), 'delivered');
      expect(shown.attempts[0].request.body).toBe(textOf(request));
      expect(shown.attempts[0].request.headers['content-type']).toBe(request.headers['content-type']);
      expect(shown.attempts[0].request.headers['ce-id']).toBe(cloudevents === 'binary' ? event : undefined);
      await api.ok('DELETE', `/webhooks/${id}`);
    }
  });

  test('data alone is the data as it was published', async () => {
    const { api } = posthorn;
    const type = `bare.${mode}`;
    const { secret } = await api.createWebhook(receiver, { events: [type], mode, envelope: 'data' });
    for (const [n, data] of DATA.entries()) {
      const event = await publishRaw(api, type, data);
      const request = (await receiver.waitFor(n + 1)).at(-1)!;
      expect(textOf(request)).toBe(data);
      expectSigned(secret, request);
      expect(request.headers).toMatchObject({ 'webhook-id': event, 'x-webhook-event': type });
    }
  });
});

function readCloudEvent({ headers, body }: ReceivedRequest): unknown {
  const read = HTTP.toEvent({ headers, body: body.toString('utf8') });
  if (!(read instanceof CloudEvent)) throw new Error('not one CloudEvent');
  read.validate();
  return read.toJSON();
}

test('a change counts from the next attempt on, and what was sent before is shown as it was', async () => {
  const { api } = posthorn;
  receiver.setHandler((_, n) => ({ status: n === 3 ? 204 : 500 }));
  const settings = { events: ['changed'], retry_policy: { schedule: ['1h', '1h', '1h'] } };
  const { id: webhook } = await api.createWebhook(receiver, settings);
  const id = await api.onlyDelivery(await publishRaw(api, 'changed', '{ "a": 1.0 }'));
  const shownBody = async (attempts: number) => {
    const shown: any = await api.untilStatus(id, attempts === 3 ? 'delivered' : 'retrying');
    expect(shown.attempts).toHaveLength(attempts);
    return shown.attempts.at(-1).request.body;
  };
  const changes = [{ body_format: 'javascript', envelope: 'data' }, { envelope: { shape: [{ of: '$data' }] } }];
  const bodies: string[] = [];
  for (const [n, change] of changes.entries()) {
    const sent = textOf((await receiver.waitFor(n + 1))[n]!);
    expect(await shownBody(n + 1)).toBe(sent);
    await api.ok('PATCH', `/webhooks/${webhook}`, change);
    expect(await shownBody(n + 1)).toBe(sent);
    bodies.push(sent);
    await api.ok('POST', `/deliveries/${id}/retry`);
  }
  bodies.push(textOf((await receiver.waitFor(3))[2]!));
  expect(bodies).toEqual([expect.stringMatching(/^\{"id":.*"data":\{ "a": 1\.0 \}\}$/), '{"a":1}', '[{"of":{"a":1}}]']);
});

test('minimal payloads are cut first, and filters see the event as it was published', async () => {
  const { api } = posthorn;
  await api.ok('POST', '/event-types', { name: 'cut.bodies', key_fields: ['order_id', 'customer.id'] });
  const settings = {
    events: ['cut.bodies'],
    payload: 'minimal',
    body_format: 'compact',
    envelope: { shape: { event: '$type', payload: '$data' } },
  };
  // Paths are those of the event, whatever its receiver calls them; and of all its data.
  const filter = { 'data.total': { $gt: 100 }, type: 'cut.bodies', version: '1.0' };
  await api.createWebhook(receiver, { ...settings, filter });
  const { id: other } = await api
    .createWebhook(receiver, { ...settings, filter: { 'payload.total': 1 } })
    .catch(() => ({ id: undefined }));
  expect(other).toBeUndefined();
  const small = await publishRaw(api, 'cut.bodies', '{ "order_id": 1.0, "customer": { "id": "c" }, "total": 5 }');
  expect(await api.deliveriesOf(small)).toEqual([]);
  const large = await publishRaw(api, 'cut.bodies', '{ "order_id": 1.0, "customer": { "id" : { } }, "total": 500 }');
  const body = '{"event":"cut.bodies","payload":{"order_id":1.0,"customer":{"id":{}}}}';
  expect((await receiver.waitFor(1)).map(textOf)).toEqual([body]);
  const id = await api.onlyDelivery(large);
  const shown: any = await api.untilStatus(id, 'delivered');
  expect(shown.attempts[0].request.body).toBe(body);
  // A replay to whoever wants it now goes by the same filter, and makes the same body.
  for (const event of [small, large]) await api.ok('POST', `/events/${event}/replay`);
  expect((await receiver.waitFor(2)).map(textOf)).toEqual([body, body]);
  expect(await api.deliveriesOf(small)).toEqual([]);
  // What is stored is the standard envelope with all of the data.
  expect((await api.ok('GET', `/events/${large}`)).payload).toContain('"total": 500 }}');
});

test('operational events come in the envelope of the webhook that gets them', async () => {
  const { api } = posthorn;
  const envelope = { shape: { event: '$type', attempt: '$attempt', payload: '$data' } };
  await api.createWebhook(receiver, { events: ['posthorn.delivery.failed'], envelope, payload: 'minimal' });
  const broken = { url: `${receiver.url}/broken`, events: ['breaks'], retry_policy: { schedule: [] } };
  receiver.setHandler(({ path }) => ({ status: path === '/broken' ? 500 : 204 }));
  await api.createWebhook(receiver, broken);
  const { id } = await api.publish('breaks');
  const [, told] = await receiver.waitFor(2);
  expect(JSON.parse(textOf(told!))).toEqual({
    event: 'posthorn.delivery.failed',
    attempt: 1,
    payload: expect.objectContaining({ event_id: id, failed_because: 'exhausted' }),
  });
});

test('what was read of a webhook can be written back, and keeps its order', async () => {
  const { api } = posthorn;
  const envelopes = [
    'standard',
    'data',
    { cloudevents: 'binary' },
    { cloudevents: 'structured', type_prefix: 'a.', source: '/x%20y' },
    { shape: { zzz: '$id', a: 1, list: [{ b: '$data', aa: null }], ['__proto__']: '$type' } },
  ];
  const { id } = await api.createWebhook(receiver, { events: ['unused'] });
  expect(await api.ok('GET', `/webhooks/${id}`)).toMatchObject({ body_format: 'exact', envelope: 'standard' });
  for (const envelope of envelopes) {
    const body = JSON.stringify({ envelope, body_format: 'compact' });
    const changed = await api.call('PATCH', `/webhooks/${id}`, body);
    expect(changed.status).toBe(200);
    const { envelope: read, body_format } = await api.ok('GET', `/webhooks/${id}`);
    expect(JSON.stringify(read)).toBe(JSON.stringify(envelope));
    expect(body_format).toBe('compact');
    expect((await api.call('PATCH', `/webhooks/${id}`, { envelope: read })).status).toBe(200);
  }
  // Other changes leave them alone.
  await api.ok('PATCH', `/webhooks/${id}`, { description: 'x' });
  const after = await api.ok('GET', `/webhooks/${id}`);
  expect(JSON.stringify(after.envelope)).toBe(JSON.stringify(envelopes.at(-1)));
});

test.each<[settings: Record<string, unknown>, field: string]>([
  [{ body_format: 'pretty' }, 'body_format'],
  [{ body_format: null }, 'body_format'],
  [{ envelope: 'cloudevents' }, 'envelope'],
  [{ envelope: null }, 'envelope'],
  [{ envelope: { shape: { event: 'type' } } }, 'envelope.shape'],
  [{ envelope: { shape: { event: { name: '$kind' } } } }, 'envelope.shape.event.name'],
  [{ envelope: { cloudevents: 'binary', source: 'a b' } }, 'envelope.source'],
  [{ headers: { 'CE-Id': 'x' } }, 'headers'],
])('%j is refused, at registration and as a change', async (settings, field) => {
  const { api } = posthorn;
  const errors = [expect.objectContaining({ field })];
  const { id } = await api.createWebhook(receiver, { events: ['unused'], active: false });
  for (const answer of [
    await api.call('POST', '/webhooks', { url: `${receiver.url}/hook`, events: ['unused'], ...settings }),
    await api.call('PATCH', `/webhooks/${id}`, settings),
  ]) {
    expectProblem(answer, { status: 422, code: 'validation_failed' });
    expect(answer.body.errors).toEqual(errors);
  }
});
