import fc from 'fast-check';
import { envelope } from '../../src/domain/envelope';
import { newUuid } from '../../src/domain/ids';
import { keyFieldProblem, minimalBody, minimalData } from '../../src/domain/minimal-payload';

test.each<[data: string, fields: string[], kept: string]>([
  ['{"id": 12345678901234567890, "price": 1.0, "x": 1}', ['id', 'price'], '{"id":12345678901234567890,"price":1.0}'],
  ['{"customer":{"id":"c","name":"n"},"total":1}', ['customer.id'], '{"customer":{"id":"c"}}'],
  ['{"customer":{"id":"c","name":"n"}}', ['customer.id', 'customer'], '{"customer":{"id":"c","name":"n"}}'],
  ['{"customer":{"id":"c","name":"n"}}', ['customer', 'customer.id'], '{"customer":{"id":"c","name":"n"}}'],
  ['{"a":{"b":{"c":1,"d":2},"e":3}}', ['a.b.c', 'a.e'], '{"a":{"b":{"c":1},"e":3}}'],
  ['{"a":1}', ['b'], '{}'],
  ['{"a":1}', ['a.b'], '{}'],
  ['{"a":[{"b":1}]}', ['a.0', 'a.b'], '{}'],
  ['{"a":null}', ['a'], '{"a":null}'],
  ['{"a":1}', [], '{}'],
  ['{"a":1,"a":2}', ['a'], '{"a":2}'],
  ['{"a\\u0062":1}', ['ab'], '{"ab":1}'],
  ['{"__proto__":{"x":1,"y":2}}', ['__proto__.x'], '{"__proto__":{"x":1}}'],
  ['{\n"a" : { "b" : 1 } }', ['a'], '{"a":{ "b" : 1 }}'],
])('%s cut to %j', (data, fields, kept) => {
  expect(minimalData(data, fields)).toBe(kept);
});

test('the envelope stays, the data is cut', () => {
  const parts = { id: newUuid(), type: 'order.created', version: '1.0', createdAt: new Date() };
  const full = envelope({ ...parts, data: '{"data":{"x":"}"},"id":"o","total":1.50}' });
  expect(minimalBody(full, ['id', 'total'])).toEqual(envelope({ ...parts, data: '{"id":"o","total":1.50}' }));
});

test('whatever the data, what is kept is JSON, was there, and is cut no further the second time', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const value = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, fc.jsonValue({ maxDepth: 1 }), fc.dictionary(name, tie('value'))),
  })).value;
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('.'));
  fc.assert(
    fc.property(fc.dictionary(name, value), fc.array(path, { maxLength: 4 }), (data, fields) => {
      const text = JSON.stringify(data);
      const kept = minimalData(text, fields);
      expect(JSON.parse(text)).toMatchObject(JSON.parse(kept));
      expect(minimalData(kept, fields)).toBe(kept);
    }),
  );
});

test.each(['id', 'customer.id', 'a.b.c.d.e.f.g.h', 'ü-_ $'])('%s is a key field', (path) => {
  expect(keyFieldProblem(path)).toBeUndefined();
});

test.each(['', '.', 'a.', '.a', 'a..b', 'a.b.c.d.e.f.g.h.i', 'x'.repeat(257)])('%j is no key field', (path) => {
  expect(keyFieldProblem(path)).toEqual(expect.any(String));
});
