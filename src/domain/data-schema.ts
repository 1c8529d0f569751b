/**
 * The part of JSON Schema (2020-12) that a data schema may use. A tenant's schema runs in a process that publishes for
 * everyone, so it must not be able to take long, whatever the data: work is at most the schema's width (the parts that
 * can apply to one and the same value) times the number of values, which the validator bounds before it begins.
 *
 * - No regular expressions of its own: neither `pattern` nor `patternProperties`; formats are linear in time.
 * - No `uniqueItems`, `contains` or `unevaluated*`, which compare or remember much.
 * - `$ref` only to the schema's own `$defs`, never in a circle, and its size counts with every reference expanded: a
 *   few definitions that refer to each other twice over would be as large as a schema of millions of parts.
 */

/** What is wrong with a schema, and where: the keys from its root. */
export type SchemaProblem = { path: (string | number)[]; rule: string };

/** Formats that a schema may ask for. */
export const FORMATS = [
  ...(['date-time', 'date', 'time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6'] as const),
  ...(['uri', 'uri-reference', 'uuid', 'json-pointer'] as const),
] as const;
export type Format = (typeof FORMATS)[number];

export const MAX_SCHEMA_BYTES = 64 * 1024;
const MAX_DEPTH = 16;
/** Of what is looked at: a schema with more has more bytes than it may have. */
const MAX_VALUES = MAX_SCHEMA_BYTES / 2;
/** Keywords, names and values, with every reference expanded. */
const MAX_SIZE = 500;
const MAX_ENUM = 200;
const MAX_NAME = 128;

/** What stands below a keyword. */
type Kind = 'schema' | 'schemas' | 'named' | 'scalars' | 'scalar' | 'names' | 'namedNames' | 'format' | 'ref' | 'free';

const KEYWORDS: Record<string, Kind> = {
  $schema: 'free',
  $comment: 'free',
  title: 'free',
  description: 'free',
  default: 'free',
  examples: 'free',
  deprecated: 'free',
  readOnly: 'free',
  writeOnly: 'free',
  $defs: 'named',
  $ref: 'ref',
  type: 'free',
  enum: 'scalars',
  const: 'scalar',
  format: 'format',
  minLength: 'free',
  maxLength: 'free',
  minimum: 'free',
  maximum: 'free',
  exclusiveMinimum: 'free',
  exclusiveMaximum: 'free',
  multipleOf: 'free',
  properties: 'named',
  required: 'names',
  dependentRequired: 'namedNames',
  additionalProperties: 'schema',
  minProperties: 'free',
  maxProperties: 'free',
  items: 'schema',
  prefixItems: 'schemas',
  minItems: 'free',
  maxItems: 'free',
  allOf: 'schemas',
  anyOf: 'schemas',
  oneOf: 'schemas',
  not: 'schema',
  if: 'schema',
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: 'schema',
  else: 'schema',
};

const DIALECT = /^https:\/\/json-schema\.org\/draft\/2020-12\/schema$/;
const REF = /^#\/\$defs\/([A-Za-z0-9_-]{1,64})$/;

type Path = (string | number)[];

/** Thrown and caught in this file only. */
class Refused extends Error {
  constructor(
    readonly path: Path,
    readonly rule: string,
  ) {
    super(rule);
  }
}

/**
 * What is wrong with a data schema; or its size, and its width: how many of its parts can apply to one and the same value.
 * Only the shape is looked at; whether each keyword's value is right is left to the validator.
 */
export function measureSchema(schema: unknown): { problem: SchemaProblem } | { size: number; width: number } {
  const defs = isObject(schema) && isObject(schema.$defs) ? schema.$defs : {};
  const sizes = new Map<string, number | 'open'>();
  let looked = 0;
  try {
    if (!isObject(schema)) throw new Refused([], 'must be an object');
    const size = sizeOf(schema, [], 0);
    // Only now: what is too deep would overflow the stack here.
    if (Buffer.byteLength(JSON.stringify(schema)) > MAX_SCHEMA_BYTES) {
      throw new Refused([], `must have at most ${MAX_SCHEMA_BYTES} bytes`);
    }
    if (size > MAX_SIZE) throw new Refused([], `is too large: it has more than ${MAX_SIZE} parts, references expanded`);
    return { size, width: widthOf(schema, defs) };
  } catch (error) {
    if (error instanceof Refused) return { problem: { path: error.path, rule: error.rule } };
    throw error;
  }

  function sizeOf(value: unknown, path: Path, depth: number): number {
    if (typeof value === 'boolean') return 1;
    if (!isObject(value)) throw new Refused(path, 'must be a schema: an object, true or false');
    if (depth > MAX_DEPTH) throw new Refused(path, `must be at most ${MAX_DEPTH} schemas deep`);
    lookAtOne();
    let size = 1;
    for (const [keyword, inner] of Object.entries(value)) {
      const at = [...path, keyword];
      const kind = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
      if (!kind) throw new Refused(at, 'is not among the keywords that a data schema may use');
      size += 1 + sizeOfKeyword(kind, keyword, inner, at, depth);
    }
    return Math.min(size, MAX_SIZE + 1);
  }

  function lookAtOne(): void {
    if (++looked > MAX_VALUES) throw new Refused([], `must have at most ${MAX_SCHEMA_BYTES} bytes`);
  }

  function sizeOfKeyword(kind: Kind, keyword: string, inner: unknown, path: Path, depth: number): number {
    switch (kind) {
      case 'schema':
        return sizeOf(inner, path, depth + 1);
      case 'schemas':
        return sum(list(inner, path), (one, i) => sizeOf(one, [...path, i], depth + 1));
      case 'named':
        if (keyword === '$defs' && depth > 0) throw new Refused(path, 'must be at the root');
        return sum(named(inner, path), ([name, one]) => 1 + sizeOf(one, [...path, name], depth + 1));
      case 'names':
        return list(inner, path).length;
      case 'namedNames':
        return sum(named(inner, path), ([name, one]) => 1 + list(one, [...path, name]).length);
      case 'scalars': {
        const values = list(inner, path);
        if (values.length > MAX_ENUM) throw new Refused(path, `must have at most ${MAX_ENUM} values`);
        return sum(values, (one, i) => scalar(one, [...path, i]));
      }
      case 'scalar':
        return scalar(inner, path);
      case 'format':
        if ((FORMATS as readonly unknown[]).includes(inner)) return 0;
        throw new Refused(path, `must be one of ${FORMATS.join(', ')}`);
      case 'ref':
        return sizeOfRef(inner, path, depth);
      case 'free':
        if (keyword === '$schema' && !(typeof inner === 'string' && DIALECT.test(inner))) {
          throw new Refused(path, 'must be https://json-schema.org/draft/2020-12/schema');
        }
        bounded(inner, path, depth, lookAtOne);
        return 0;
    }
  }

  function sizeOfRef(ref: unknown, path: Path, depth: number): number {
    const name = typeof ref === 'string' ? REF.exec(ref)?.[1] : undefined;
    if (name === undefined) throw new Refused(path, 'must be #/$defs/ and a name of this schema');
    if (!Object.hasOwn(defs, name)) throw new Refused(path, 'must name a definition of this schema');
    const known = sizes.get(name);
    if (known === 'open') throw new Refused(path, 'must not lead back to itself');
    if (known !== undefined) return known;
    sizes.set(name, 'open');
    const size = sizeOf(defs[name], ['$defs', name], depth + 1);
    sizes.set(name, size);
    return size;
  }
}

/** Beside each other, for the same value; what stands below properties and items is for other values. */
const SIDE_BY_SIDE = ['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'];

/** Of a schema that was measured: references lead nowhere twice, and the size bounds the walk. */
function widthOf(schema: unknown, defs: Record<string, unknown>): number {
  if (!isObject(schema)) return 1;
  const width = (one: unknown) => widthOf(one, defs);
  const { enum: values, required, dependentRequired, properties, additionalProperties, items, prefixItems } = schema;
  const own =
    Object.keys(schema).length +
    valuesOf(values).length +
    valuesOf(required).length +
    valuesOf(dependentRequired).flat().length +
    valuesOf(properties).length;
  const below = [...valuesOf(properties), additionalProperties, items, ...valuesOf(prefixItems)].map(width);
  const beside = SIDE_BY_SIDE.filter((keyword) => keyword in schema)
    .flatMap((keyword) => (Array.isArray(schema[keyword]) ? (schema[keyword] as unknown[]) : [schema[keyword]]))
    .map(width);
  const name = typeof schema.$ref === 'string' ? REF.exec(schema.$ref)?.[1] : undefined;
  const referred = name === undefined ? 0 : width(defs[name]);
  return Math.max(own, ...below) + referred + sum(beside, (one) => one);
}

const valuesOf = (value: unknown): unknown[] =>
  typeof value === 'object' && value !== null ? Object.values(value) : [];

function scalar(value: unknown, path: Path): number {
  if (typeof value === 'object' && value !== null) throw new Refused(path, 'must be a text, number, boolean or null');
  return 1;
}

function list(value: unknown, path: Path): unknown[] {
  if (!Array.isArray(value)) throw new Refused(path, 'must be a list');
  return value;
}

function named(value: unknown, path: Path): [string, unknown][] {
  if (!isObject(value)) throw new Refused(path, 'must be an object');
  for (const name of Object.keys(value)) {
    if (name === '__proto__') throw new Refused(path, 'must not have a field __proto__');
    if (name.length > MAX_NAME) throw new Refused(path, `must have names of at most ${MAX_NAME} characters`);
  }
  return Object.entries(value);
}

/** What is only shown must not be too deep to walk either. */
function bounded(value: unknown, path: Path, depth: number, lookAtOne: () => void): void {
  lookAtOne();
  if (typeof value !== 'object' || value === null) return;
  if (depth > 2 * MAX_DEPTH) throw new Refused(path, 'is too deep');
  for (const [key, inner] of Object.entries(value)) bounded(inner, [...path, key], depth + 1, lookAtOne);
}

function sum<T>(values: T[], sizeOf: (value: T, i: number) => number): number {
  return values.reduce((total, value, i) => total + sizeOf(value, i), 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
