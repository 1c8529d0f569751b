import { installationForFile, receiverForEach } from '../support/for-tests';
import { expectBadField } from './support';

const installation = installationForFile();
const receiver = receiverForEach();

/** Names that every object of JavaScript has already, and one that sets its prototype. */
const KIN = [
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  '__lookupSetter__',
];
const url = 'https://example.com/hook';
/** As it is sent: in a literal it would set the prototype. */
const named = (name: string, value: string) => `{${JSON.stringify(name)}:${value}}`;
const hook = (member: string, value: string) => `{"url":"${url}","events":["nobody.publishes"],"${member}":${value}}`;

describe.each(['metadata', 'headers'])('a name in %s', (member) => {
  test.each(KIN)('%s is kept', async (name) => {
    const { api } = installation;
    const made = await api.call('POST', '/webhooks', hook(member, named(name, '"1"')));
    expect(made.status).toBe(201);
    const shown = await api.ok('GET', `/webhooks/${made.body.id}`);
    expect(Object.entries(shown[member])).toEqual([[name, member === 'headers' ? '[redacted]' : '1']]);
  });

  test.each([named('__proto__', '"1"'), '{"a":"1","__proto__":"2","b":"3"}', '{"__proto__":{"a":"1"}}'])(
    '__proto__ is refused: %s',
    async (value) => {
      const { api } = installation;
      expectBadField(await api.call('POST', '/webhooks', hook(member, value)), member, /named __proto__/);
      const { id } = (await api.call('POST', '/webhooks', hook(member, '{"a":"1"}'))).body;
      expectBadField(await api.call('PATCH', `/webhooks/${id}`, `{"${member}":${value}}`), member, /named __proto__/);
      expect(Object.keys((await api.ok('GET', `/webhooks/${id}`))[member])).toEqual(['a']);
    },
  );
});

test.each(KIN.slice(0, 4))('an own header %s arrives', async (name) => {
  const { api } = installation;
  const type = `header.${name.toLowerCase()}`;
  await api.createWebhook(receiver, { events: [type], headers: { [name]: 'v' } });
  await api.publish(type);
  const [request] = await receiver.waitFor(1);
  expect(Object.entries(request!.headers)).toContainEqual([name.toLowerCase(), 'v']);
});

test.each(['__proto__', 'constructor', '__proto__.created', 'order.prototype'])(
  'an event type %s is a name like any other',
  async (type) => {
    const { api } = installation;
    const example = '{"__proto__":{"a":1},"constructor":2}';
    await api.ok('POST', '/event-types', { name: type, key_fields: ['__proto__.a', 'constructor'] });
    const schema = '{"type":"object","required":["__proto__","constructor"]}';
    await api.ok('POST', `/event-types/${type}/versions`, `{"version":"1.0","schema":${schema},"example":${example}}`);
    expect(JSON.stringify(await api.ok('GET', `/event-types/${type}`))).toContain(example);
    const filter = { 'data.__proto__.a': 1, 'data.constructor': { $exists: true } };
    await api.createWebhook(receiver, { events: [type], filter, payload: 'minimal' });
    expect((await api.call('POST', '/events', `{"type":"${type}","data":{"constructor":2}}`)).status).toBe(422);
    const data = '{"x":3,"__proto__":{"a":1,"b":2},"constructor":2}';
    await api.ok('POST', '/events', `{"type":"${type}","data":${data}}`);
    const [request] = await receiver.waitFor(1);
    expect(request!.body.toString()).toContain('"data":{"__proto__":{"a":1},"constructor":2}');
  },
);

test('a receiver’s headers of such names are shown with its answer', async () => {
  const { api } = installation;
  const headers = Object.fromEntries(['__proto__', 'constructor', 'x-other'].map((name) => [name, 'v']));
  receiver.setHandler(() => ({ status: 200, headers }));
  await api.createWebhook(receiver, { events: ['answers.headers'] });
  const id = await api.onlyDelivery((await api.publish('answers.headers')).id);
  await api.untilStatus(id, 'delivered');
  const [attempt] = (await api.ok('GET', `/deliveries/${id}`)).attempts;
  for (const name of Object.keys(headers)) expect(Object.entries(attempt.response.headers)).toContainEqual([name, 'v']);
});

test.each(['__proto__', 'constructor', 'toString'])('a query parameter %s is not known', async (name) => {
  expectBadField(await installation.api.call('GET', `/webhooks?${name}=1`), name, /not known here/);
});

test.each(['circuit_breaker', 'disable_after', 'retry_policy', 'filter'])(
  '__proto__ in %s is refused',
  async (member) => {
    const answer = await installation.api.call('POST', '/webhooks', hook(member, named('__proto__', '{}')));
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
    expect(JSON.stringify(answer.body.errors)).toContain(member);
  },
);
