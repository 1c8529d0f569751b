import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** src/db/tables.ts says by hand what migrations/schema.sql says by dump: the same tables, columns and nullability. */

type Columns = Record<string, 'null' | 'not null'>;

const linesOf = (path: string) => readFileSync(join(__dirname, '../..', path), 'utf8').split('\n');

/** The columns of the dump: in a table, a line each, indented by two. */
function tablesOfSchema(lines: string[]): Record<string, Columns> {
  const tables: Record<string, Columns> = {};
  let columns: Columns | undefined;
  for (const line of lines) {
    const table = /^create table (\w+) \($/.exec(line)?.[1];
    const column = /^ {2}(?!constraint )(\w+) \S/.exec(line)?.[1];
    if (table) columns = tables[table] = {};
    else if (line.startsWith(')')) columns = undefined;
    else if (column && columns) columns[column] = / not null\b/.test(line) ? 'not null' : 'null';
  }
  return tables;
}

/** The columns of `Tables`. @throws at a line that is neither a table, nor a column, nor a comment */
function tablesOfTypes(lines: string[]): Record<string, Columns> {
  const from = lines.indexOf('export type Tables = {');
  const tables: Record<string, Columns> = {};
  let columns: Columns = {};
  for (const line of lines.slice(from + 1, lines.indexOf('};', from))) {
    const table = /^ {2}(\w+): \{$/.exec(line)?.[1];
    const [, column, type] = /^ {4}(\w+): (.+);$/.exec(line) ?? [];
    if (table) columns = tables[table] = {};
    else if (column && type) columns[column] = /\| null\b/.test(selected(type)) ? 'null' : 'not null';
    else if (!/^ {2}(\};|\s+\/\*\*.*\*\/)$/.test(line)) throw new Error(`neither a table nor a column: ${line}`);
  }
  return tables;
}

/** What a select returns: of `ColumnType` and the like the first of their types. */
function selected(type: string): string {
  const inner = /^(?:ColumnType|Generated|GeneratedAlways)<(.*)>$/.exec(type)?.[1];
  if (inner === undefined) return type;
  let depth = 0;
  for (const [at, char] of [...inner].entries()) {
    if ('<[({'.includes(char)) depth++;
    if ('>])}'.includes(char)) depth--;
    if (char === ',' && depth === 0) return inner.slice(0, at);
  }
  return inner;
}

test('the types of the tables say what the schema says', () => {
  const schema = tablesOfSchema(linesOf('migrations/schema.sql'));
  expect(Object.keys(schema)).toContain('delivery_queue');
  expect(tablesOfTypes(linesOf('src/db/tables.ts'))).toEqual(schema);
});
