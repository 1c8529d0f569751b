import { prepareStatement } from '../../src/db/prepared-statement';

const statement = prepareStatement(
  'some',
  { ids: 'uuid[]', row_limit: 'int', name: 'text' },
  `
-- Parameters: :name, :unknown
select '1 s'::interval, (:ids)[1], :row_limit::float8
  -- :row_limit again
from unnest(:ids)

where name = :name limit :row_limit`,
);

test('parameters are numbered in the order of their declaration, wherever they stand, and have their types', () => {
  const { name, text, values } = statement({ name: 'n', row_limit: 3, ids: ['a'] });
  expect(name).toBe('some');
  expect(text.split('\n')).toEqual([
    "select '1 s'::interval, ($1::uuid[])[1], $2::int::float8",
    'from unnest($1::uuid[])',
    'where name = $3::text limit $2::int',
  ]);
  expect(values).toEqual([['a'], 3, 'n']);
});

test('a statement with a parameter that is not declared, or without one that is, is refused when it is loaded', () => {
  expect(() => prepareStatement('some', { id: 'uuid' }, 'select :id, :di')).toThrow('no parameter :di');
  expect(() => prepareStatement('some', { id: 'uuid', name: 'text' }, 'select :id')).toThrow('does not use :name');
});
