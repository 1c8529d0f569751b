import type { Pool, QueryResult, QueryResultRow } from 'pg';

/** What a statement is sent over: a pool, or the connection of a transaction. */
export type Connection = Pick<Pool, 'query'>;

/** A prepared statement: takes its parameters by name, so that none can be mistaken for its neighbour. */
export type NamedStatement<Values extends object> = {
  run<Row extends QueryResultRow>(db: Connection, values: Values): Promise<QueryResult<Row>>;
};

/** `:name`, but neither of the colons of a cast. */
const PARAMETER = /(?<!:):([a-z]\w*)/gi;

/**
 * Prepares nothing yet: each connection does at the statement's first run.
 * @param name of the prepared statement
 * @param text with `:name` for each parameter; one that comes more than once is sent once
 */
export function namedStatement<Values extends object>(name: string, text: string): NamedStatement<Values> {
  const parameters = [...new Set(Array.from(text.matchAll(PARAMETER), ([, parameter]) => parameter!))];
  const numbered = text.replace(PARAMETER, (_, parameter: string) => `$${parameters.indexOf(parameter) + 1}`);
  return {
    run(db, values) {
      const given = values as Record<string, unknown>;
      const missing = parameters.find((parameter) => given[parameter] === undefined);
      if (missing) throw new Error(`the statement ${name} needs ${missing}`);
      return db.query({ name, text: numbered, values: parameters.map((parameter) => given[parameter]) });
    },
  };
}
