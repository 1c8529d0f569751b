/** The SQL types of parameters, and what may stand for them. */
type ValueOf = {
  int: number;
  smallint: number;
  boolean: boolean;
  text: string | null;
  uuid: string;
  jsonb: string;
  bytea: Buffer;
  timestamptz: Date;
  'int[]': readonly (number | null)[];
  'smallint[]': readonly number[];
  'boolean[]': readonly boolean[];
  'text[]': readonly (string | null)[] | null;
  'uuid[]': readonly string[];
  'bytea[]': readonly (Buffer | null)[];
  'timestamptz[]': readonly Date[];
};

export type Parameters = Readonly<Record<string, keyof ValueOf>>;
export type Values<P extends Parameters> = { readonly [N in keyof P]: ValueOf[P[N]] };

/** What `pool.query` takes. */
export type BoundStatement = { name: string; text: string; values: unknown[] };

/** A line that is empty or a comment alone. */
const COMMENT_LINE = /^[ \t]*(--.*)?\n/gm;
/** `:name`, but neither a cast nor the end of a word. */
const PARAMETER = /(?<![:\w]):([a-z_]+)\b/g;

/**
 * A statement that each connection prepares once, under this name. Its text has its parameters by name, `:limit`; each has
 * its SQL type, and the server is told it wherever the name stands. Comments that have a line to themselves are not sent:
 * pg_stat_activity shows the first 1,024 bytes of what is.
 * Returns what binds values to it. All this is worked out once, when the module is loaded.
 * @throws where the text has a parameter that is not declared, or lacks one that is
 */
export function prepareStatement<const P extends Parameters>(
  name: string,
  parameters: P,
  text: string,
): (values: Values<P>) => BoundStatement {
  const names = Object.keys(parameters);
  const missing = new Set(names);
  const positional = text.replace(COMMENT_LINE, '').replace(PARAMETER, (_, parameter: string) => {
    const at = names.indexOf(parameter);
    if (at < 0) throw new Error(`The statement ${name} has no parameter :${parameter}.`);
    missing.delete(parameter);
    return `$${at + 1}::${parameters[parameter]}`;
  });
  if (missing.size > 0) throw new Error(`The statement ${name} does not use :${[...missing].join(', :')}.`);
  return (values) => ({ name, text: positional, values: names.map((parameter) => values[parameter]) });
}
