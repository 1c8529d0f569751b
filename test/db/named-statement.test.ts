import { Client } from 'pg';
import { type Connection, namedStatement } from '../../src/db/publish/named-statement';
import { createTestDatabase } from '../support/database';

let client: Client;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createTestDatabase();
  drop = database.drop;
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client?.end();
  await drop?.();
});

const db = () => client as unknown as Connection;

test('each parameter goes where its name stands, however often, and casts are left alone', async () => {
  const statement = namedStatement<{ second: number; first: string | null }>(
    'named_twice',
    `-- A comment: with a colon.
     select :first::text || 'x' as first, :second::int as second, :first::text is null as empty, '::text' as quoted`,
  );
  const { rows } = await statement.run(db(), { second: 2, first: 'a' });
  expect(rows).toEqual([{ first: 'ax', second: 2, empty: false, quoted: '::text' }]);
  expect((await statement.run(db(), { second: 3, first: null })).rows).toMatchObject([{ second: 3, empty: true }]);
});

test('it is prepared under its name', async () => {
  await namedStatement<{ n: number }>('named_once', 'select :n::int').run(db(), { n: 1 });
  const { rows } = await client.query(`select statement from pg_prepared_statements where name = 'named_once'`);
  expect(rows).toEqual([{ statement: 'select $1::int' }]);
});

test('a parameter that is not given is an error, and no null', async () => {
  const statement = namedStatement<{ n?: number }>('named_missing', 'select :n::int');
  expect(() => statement.run(db(), {})).toThrow('the statement named_missing needs n');
});
