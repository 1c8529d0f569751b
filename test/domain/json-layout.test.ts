import fc from 'fast-check';
import { compactJson, indentJson } from '../../src/domain/json-layout';

test('a text is laid out as JSON.stringify does it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value, null, '\t \n');
      expect(compactJson(text)).toBe(JSON.stringify(value));
      expect(indentJson(text)).toBe(JSON.stringify(value, null, 2));
    }),
  );
});

test('digits, escapes and texts stay as they were written', () => {
  const text = '{ "a" : [ 1.0, 12345678901234567890 , 1E400,-0 ], "b\\u0020{": "x , y" ,"c":{ } }';
  expect(compactJson(text)).toBe('{"a":[1.0,12345678901234567890,1E400,-0],"b\\u0020{":"x , y","c":{}}');
  expect(indentJson(text)).toBe(
    '{\n  "a": [\n    1.0,\n    12345678901234567890,\n    1E400,\n    -0\n  ],\n  "b\\u0020{": "x , y",\n  "c": {}\n}',
  );
});
