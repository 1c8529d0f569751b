import { envelopeProblem } from '../../src/domain/envelope-setting';

test.each<[unknown]>([
  ['standard'],
  ['data'],
  [{ cloudevents: 'structured' }],
  [{ cloudevents: 'binary', source: '/shop', type_prefix: 'com.example.' }],
  [{ cloudevents: 'binary', source: 'https://shop.example/a%20b?c=d#e' }],
  [{ cloudevents: 'structured', source: 'urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66' }],
  [{ shape: { event: '$type' } }],
  [{ shape: [{ id: '$id', price: '$$5', list: [1, null, true, 'x'], deep: { data: '$data' } }] }],
  [{ shape: { ['__proto__']: '$data', '': '$id' } }],
])('%j is an envelope', (given) => {
  expect(envelopeProblem(given)).toBeUndefined();
});

const deep = (levels: number): object => (levels === 0 ? { id: '$id' } : { a: deep(levels - 1) });

test.each<[given: unknown, path: (string | number)[], rule: string]>([
  ['Standard', [], '"standard", "data"'],
  [null, [], '"standard"'],
  [{}, [], '"standard"'],
  [['$data'], [], '"standard"'],
  [{ cloudevents: 'batch' }, ['cloudevents'], '"structured" or "binary"'],
  [{ cloudevents: 'binary', source: '' }, ['source'], 'URI reference'],
  [{ cloudevents: 'binary', source: 'a b' }, ['source'], 'URI reference'],
  [{ cloudevents: 'binary', source: '/50%' }, ['source'], 'URI reference'],
  [{ cloudevents: 'binary', source: '/é' }, ['source'], 'URI reference'],
  [{ cloudevents: 'binary', source: '/a\r\nx: y' }, ['source'], 'URI reference'],
  [{ cloudevents: 'binary', source: 'x'.repeat(257) }, ['source'], '256'],
  [{ cloudevents: 'binary', type_prefix: 'a b' }, ['type_prefix'], 'com.example.'],
  [{ cloudevents: 'binary', subject: 'x' }, ['subject'], 'is not known here'],
  [{ shape: { event: '$type' }, cloudevents: 'binary' }, ['cloudevents'], 'is not known here'],
  [{ shape: '$data' }, ['shape'], 'must be an object or a list'],
  [{ shape: {} }, ['shape'], 'at least one of $id, $type'],
  [{ shape: { event: 'type' } }, ['shape'], 'at least one of $id, $type'],
  [{ shape: { event: { of: ['$kind'] } } }, ['shape', 'event', 'of', 0], 'must be one of $id'],
  [{ shape: { price: '$5', id: '$id' } }, ['shape', 'price'], 'is written $$'],
  [{ shape: { a: '$data', b: ['$data'] } }, ['shape'], 'at most once'],
  [{ shape: { id: '$id', n: Number.POSITIVE_INFINITY } }, ['shape', 'n'], '2^53'],
  [{ shape: { id: '$id', n: 2 ** 53 } }, ['shape', 'n'], '2^53'],
  [{ shape: { id: '$id', text: 'a\0' } }, ['shape', 'text'], 'NUL'],
  [{ shape: { id: '$id', text: '\ud800' } }, ['shape', 'text'], 'Unicode'],
  [{ shape: { '\ud800': '$id' } }, ['shape'], 'Unicode'],
  [{ shape: { ['n'.repeat(129)]: '$id' } }, ['shape'], '128'],
  [{ shape: Array(65).fill('$id') }, ['shape'], '64'],
  [{ shape: { id: '$id', text: 'é'.repeat(2_048) } }, ['shape'], '4096 bytes'],
  [{ shape: deep(6) }, ['shape', 'a', 'a', 'a', 'a', 'a', 'a'], '6 levels'],
])('%j is refused', (given, path, rule) => {
  expect(envelopeProblem(given)).toEqual({ path, rule: expect.stringContaining(rule) });
});
