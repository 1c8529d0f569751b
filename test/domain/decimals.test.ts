import { createValidator } from '../../src/api/publish/data-validator';
import { allAtOnce, WorkBudget } from '../../src/domain/work-budget';

/** Numbers of data and schemas are those that were written, whatever a double makes of them. */

/** What is wrong with a number under a schema, both as they are written. */
function problems(schema: string, number: string): string[] {
  const { check } = createValidator(`{"type":"object","properties":{"n":${schema}}}`);
  const text = `{ "n" : ${number} }`;
  const budget = new WorkBudget(1_000_000);
  return allAtOnce(check(JSON.parse(text), text, budget)).map(({ field, rule }) => `${field} ${rule}`);
}

test.each<[schema: string, numbers: string[]]>([
  ['{"multipleOf":0.01}', ['19.99', '143.48', '0.07', '-4.35', '1e300', '0', '1.10', '2E-2', '4503599627370497.01']],
  ['{"multipleOf":0.0000001}', ['1.1234567', '-0.0000003', '33.3333333', '7e-7']],
  ['{"multipleOf":1e-400}', ['0', '1e-400', '25e-399']],
  ['{"multipleOf":2.5}', ['7.5', '1e22', '-12.50', '100000000000000000002.5']],
  ['{"multipleOf":3}', ['9007199254740993', '-111111111111111111111', '3e400']],
  ['{"maximum":9007199254740992}', ['9007199254740992', '9007199254740991.9999999', '-1e400']],
  ['{"exclusiveMaximum":0.3}', ['0.29999999999999999999', '0.1']],
  ['{"minimum":0.1}', ['0.1', '0.10000000000000000001', '1e400']],
  ['{"exclusiveMinimum":-9007199254740993}', ['-9007199254740992', '0', '-9007199254740992.99']],
  ['{"minimum":1e400}', ['1e400', '10e399', '1e401']],
  ['{"type":"integer"}', ['1.0', '123456789012345678901234567890', '1e400', '1.5e1', '-0']],
  ['{"type":"number"}', ['1e400', '0.1e-400', '1.00000000000000000000001']],
  ['{"const":12345678901234567890}', ['12345678901234567890', '12345678901234567890.0', '1234567890123456789e1']],
  ['{"enum":[0.1,9007199254740993]}', ['0.1', '9007199254740993', '1e-1']],
])('%s takes %j', (schema, numbers) => {
  expect(numbers.flatMap((number) => problems(schema, number))).toEqual([]);
});

test.each<[schema: string, numbers: string[], rule: string]>([
  ['{"multipleOf":0.01}', ['19.999', '0.001', '19.990000000000000001', '1e-3'], 'must be multiple of 0.01'],
  ['{"multipleOf":2.5}', ['7.4', '100000000000000000001'], 'must be multiple of 2.5'],
  ['{"multipleOf":3}', ['9007199254740992', '9007199254740994', '1e400'], 'must be multiple of 3'],
  ['{"maximum":9007199254740992}', ['9007199254740993', '9007199254740992.0001'], 'must be <= 9007199254740992'],
  ['{"exclusiveMaximum":0.3}', ['0.3', '0.30', '3e-1'], 'must be < 0.3'],
  ['{"minimum":0.1}', ['0.09999999999999999999', '-1e400'], 'must be >= 0.1'],
  [
    '{"exclusiveMinimum":-9007199254740993}',
    ['-9007199254740993', '-9007199254740993.0'],
    'must be > -9007199254740993',
  ],
  ['{"minimum":1e400}', ['1e399', '1.7e308'], 'must be >= 1e400'],
  ['{"type":"integer"}', ['1.00000000000000000001', '12345678901234567890.5', '1e-400'], 'must be integer'],
  ['{"const":12345678901234567890}', ['12345678901234567891', '12345678901234567000'], 'must be equal to constant'],
  [
    '{"enum":[0.1,9007199254740993]}',
    ['9007199254740992', '0.10000000000000000001'],
    'must be one of 0.1,9007199254740993',
  ],
  ['{"type":"string"}', ['12345678901234567890', '1e400'], 'must be string'],
])('%s refuses %j', (schema, numbers, rule) => {
  expect(numbers.map((number) => problems(schema, number))).toEqual(numbers.map(() => [`data.n ${rule}`]));
});

test('a number of very many digits is told to be too long, and costs what its length is', () => {
  expect(problems('{"minimum":0}', '9'.repeat(1_001))).toEqual(['data.n must be a number of at most 1000 digits']);
  expect(problems('{"multipleOf":7}', `${'7'.repeat(999)}e999999999999999`)).toEqual([]);
  expect(problems('{"type":"object"}', '9'.repeat(100_000))).toEqual(['data.n must be object']);
});

test('texts are left alone, whatever digits and quotes are in them', () => {
  const text = JSON.stringify({ n: '12345678901234567890 "1e400" \\', big: 1 });
  const { check } = createValidator(
    '{"properties":{"n":{"type":"string","maxLength":31},"big":{"type":"integer"}},"additionalProperties":false}',
  );
  const marked = text.replace(':1}', ':12345678901234567890}');
  expect(allAtOnce(check(JSON.parse(marked), marked, new WorkBudget(1_000_000)))).toEqual([]);
});
