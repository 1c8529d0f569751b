import fc from 'fast-check';
import type { BODY_FORMATS } from '../../src/domain/body-format';
import { type BodySettings, type BodyValues, composerOf } from '../../src/domain/compose-body';
import { envelope as storedEnvelope } from '../../src/domain/envelope';
import type { Envelope } from '../../src/domain/envelope-setting';
import { newUuid, toPublicId } from '../../src/domain/ids';
import { minimalBody } from '../../src/domain/minimal-payload';

const id = newUuid();
const createdAt = new Date('2026-11-23T16:39:37.631Z');
const DATA = '{ "data": "\\",\\"data\\":", "total": 1.0, "id": 12345678901234567890 }';
const stored = storedEnvelope({ id, type: 'order.created', version: '2.1', createdAt, data: DATA });
const values: BodyValues = {
  ...{ webhookId: 'wh_1', deliveryId: 'del_1', attempt: 3, retryable: true },
  sentAtMs: Date.parse('2026-11-24T00:00:00.999Z'),
};
const publicId = toPublicId('event', id);

function compose(settings: Partial<BodySettings>, event = stored) {
  const { body, headers } = composerOf({ bodyFormat: 'exact', envelope: 'standard', ...settings })(event, values);
  return { body: body.toString('utf8'), headers };
}

test('by default the body is the stored bytes themselves', () => {
  expect(composerOf({ bodyFormat: 'exact', envelope: 'standard' })(stored, values).body).toBe(stored);
});

test.each<[format: (typeof BODY_FORMATS)[number], data: string]>([
  ['exact', DATA],
  ['compact', '{"data":"\\",\\"data\\":","total":1.0,"id":12345678901234567890}'],
  ['javascript', '{"data":"\\",\\"data\\":","total":1,"id":12345678901234567000}'],
])('in the format %s, every envelope has the data as %s', (bodyFormat, data) => {
  const head = `{"id":"${publicId}","type":"order.created","timestamp":"2026-11-23T16:39:37.631Z","version":"2.1"`;
  expect(compose({ bodyFormat }).body).toBe(`${head},"data":${data}}`);
  expect(compose({ bodyFormat, envelope: 'data' }).body).toBe(data);
  expect(compose({ bodyFormat, envelope: { cloudevents: 'binary' } }).body).toBe(data);
  expect(compose({ bodyFormat, envelope: { cloudevents: 'structured' } }).body.endsWith(`,"data":${data}}`)).toBe(true);
  expect(compose({ bodyFormat, envelope: { shape: { x: ['$data'] } } }).body).toBe(`{"x":[${data}]}`);
});

test('a shape has the names, the order and the constants that it declares', () => {
  const shape = {
    event: '$type',
    eventId: '$id',
    createdAt: '$timestamp',
    object: 'event',
    price: '$$5',
    nested: { version: '$version', list: [1, null, false, '$attempt'] },
    payload: '$data',
    'é"\n': '$type',
  };
  // As it comes from a request.
  const given = JSON.parse(JSON.stringify(shape).replace('"object"', '"__proto__":"$retryable","object"'));
  expect(compose({ envelope: { shape: given } }).body).toBe(
    `{"event":"order.created","eventId":"${publicId}","createdAt":"2026-11-23T16:39:37.631Z","__proto__":true,"object":"event","price":"$5",` +
      `"nested":{"version":"2.1","list":[1,null,false,3]},"payload":${DATA},"é\\"\\n":"order.created"}`,
  );
});

test.each<[value: string, written: string]>([
  ['$timestamp', '"2026-11-23T16:39:37.631Z"'],
  ['$timestamp_unix', '1795451977'],
  ['$timestamp_ms', '1795451977631'],
  ['$sent_at', '"2026-11-24T00:00:00.999Z"'],
  ['$sent_at_unix', '1795478400'],
  ['$sent_at_ms', '1795478400999'],
  ['$attempt', '3'],
  ['$retryable', 'true'],
  ['$delivery_id', '"del_1"'],
  ['$webhook_id', '"wh_1"'],
])('%s is %s', (value, written) => {
  expect(compose({ envelope: { shape: [value] } }).body).toBe(`[${written}]`);
});

test('CloudEvents in structured mode has its own content type and the required attributes', () => {
  const { body, headers } = compose({
    envelope: { cloudevents: 'structured', source: '/shop', type_prefix: 'com.example.' },
  });
  expect(headers).toEqual({ 'content-type': 'application/cloudevents+json; charset=utf-8' });
  expect(body).toBe(
    `{"specversion":"1.0","id":"${publicId}","source":"/shop","type":"com.example.order.created",` +
      `"time":"2026-11-23T16:39:37.631Z","eventversion":"2.1","datacontenttype":"application/json","data":${DATA}}`,
  );
});

test('CloudEvents in binary mode has its attributes in the headers, percent-encoded', () => {
  const { body, headers } = compose({ envelope: { cloudevents: 'binary', source: '/a%20b' } });
  expect(body).toBe(DATA);
  expect(headers).toEqual({
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': publicId,
    'ce-source': '/a%2520b',
    'ce-type': 'order.created',
    'ce-time': '2026-11-23T16:39:37.631Z',
    'ce-eventversion': '2.1',
  });
});

test('what is cut is cut before it is formatted and put into its envelope', () => {
  const data = '{"total": 1.0, "id": "i", "customer": { "id" : 2.50 , "name": "n" }}';
  const event = storedEnvelope({ id, type: 'a', version: '1', createdAt, data });
  const minimal = minimalBody(event, ['total', 'customer.id', 'customer']);
  expect(compose({ envelope: 'data' }, minimal).body).toBe('{"total":1.0,"customer":{ "id" : 2.50 , "name": "n" }}');
  expect(compose({ envelope: 'data', bodyFormat: 'compact' }, minimal).body).toBe(
    '{"total":1.0,"customer":{"id":2.50,"name":"n"}}',
  );
  expect(compose({ envelope: { shape: { d: '$data' } }, bodyFormat: 'javascript' }, minimal).body).toBe(
    '{"d":{"total":1,"customer":{"id":2.5,"name":"n"}}}',
  );
});

const ENVELOPES: Envelope[] = [
  'standard',
  'data',
  { cloudevents: 'structured' },
  { cloudevents: 'binary' },
  { shape: { 2: '$type', b: '$data', 1: ['$attempt', '$sent_at_ms'] } },
];

test.each(ENVELOPES)('whatever the data, in %j the body is what its format says of the whole', (envelope) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), (value) => {
      const event = storedEnvelope({ id, type: 'a.b', version: '1', createdAt, data: JSON.stringify(value, null, 2) });
      const javascript = compose({ envelope, bodyFormat: 'javascript' }, event).body;
      expect(javascript).toBe(JSON.stringify(JSON.parse(javascript)));
      const compact = compose({ envelope, bodyFormat: 'compact' }, event).body;
      expect(JSON.parse(compact)).toEqual(JSON.parse(compose({ envelope }, event).body));
      // Parsing and printing changes nothing else in what JSON.stringify wrote.
      expect(compact).toBe(javascript);
    }),
  );
});
