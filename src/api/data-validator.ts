import Ajv2020, { type ErrorObject, type ValidateFunction } from 'ajv/dist/2020';
import { type Format, measureSchema } from '../domain/data-schema';
import { parseUrl } from '../domain/parse-url';
import type { FieldProblem } from './errors';

/** Says what is wrong with data; an empty list where nothing is. */
export type DataValidator = (data: unknown) => FieldProblem[];

/** A schema that cannot be used. */
export class BadSchemaError extends Error {
  override readonly name = 'BadSchemaError';

  constructor(readonly fields: FieldProblem[]) {
    super('the schema cannot be used');
  }
}

const MAX_PROBLEMS = 50;
/** Characters of a list of allowed values. */
const MAX_TOLD = 200;
/**
 * Schema width times values of the data. A unit costs some 200 ns at worst, and nobody else is served meanwhile: data that
 * would be more is refused.
 */
const MAX_WORK = 1_000_000;
/** Every error is an object: above this only the first one is told. */
const MAX_WORK_FOR_ALL = 50_000;
/** Texts are looked through for their length: so many characters count as a value. */
const CHARACTERS_PER_VALUE = 64;

/** Linear in the text, without a regular expression that can backtrack. */
const FORMATS: Record<Format, (text: string) => boolean> = {
  'date-time': (text) =>
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i.test(text) && isDay(text.slice(0, 10)),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && isDay(text),
  email: (text) => text.length <= 254 && /^[^\s@]{1,64}@[^\s@]{1,253}$/.test(text),
  uri: (text) => text.length <= 2_048 && /^[a-z][a-z0-9+.-]*:/i.test(text) && parseUrl(text) !== undefined,
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
};

function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

const OPTIONS = {
  strict: true,
  strictTuples: false,
  // A field may be required in one branch and described elsewhere.
  strictRequired: false,
  allowUnionTypes: true,
  // Names such as `toString` are on every object's prototype.
  ownProperties: true,
  addUsedSchema: false,
  formats: FORMATS,
  logger: false,
} as const;

// Made once: each takes some milliseconds for the dialect's own schema.
const first = new Ajv2020(OPTIONS);
const all = new Ajv2020({ ...OPTIONS, allErrors: true });

/**
 * Makes a validator of a data schema. Costs some milliseconds: keep it.
 * @throws BadSchemaError naming each part of the schema that is wrong
 */
export function compileSchema(schema: unknown): DataValidator {
  const measured = measureSchema(schema);
  if ('problem' in measured) {
    const { path, rule } = measured.problem;
    throw new BadSchemaError([{ field: ['schema', ...path].join('.'), rule }]);
  }
  const validate = compile(first, schema as object);
  let validateAll: ValidateFunction | undefined;
  return (data) => {
    const work = measured.width * countValues(data, MAX_WORK / measured.width);
    if (work > MAX_WORK) return [{ field: 'data', rule: 'has too many values to be checked against its schema' }];
    if (validate(data)) return [];
    let errors = validate.errors ?? [];
    if (work <= MAX_WORK_FOR_ALL) {
      validateAll ??= compile(all, schema as object);
      validateAll(data);
      errors = validateAll.errors ?? errors;
      validateAll.errors = null;
    }
    validate.errors = null;
    return toFields(errors);
  };
}

/** The values in data, however deep; stops counting soon after `limit`. */
function countValues(data: unknown, limit: number): number {
  const open = [data];
  let count = 0;
  while (open.length > 0 && count <= limit) {
    const value = open.pop();
    count += 1 + (typeof value === 'string' ? value.length / CHARACTERS_PER_VALUE : 0);
    if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) open.push(inner);
  }
  return count;
}

function compile(ajv: Ajv2020, schema: object): ValidateFunction {
  try {
    return ajv.compile(schema);
  } catch (error) {
    const broken = ajv.validateSchema(schema) ? undefined : ajv.errors;
    throw new BadSchemaError(
      broken?.length ? broken.slice(0, MAX_PROBLEMS).map(toSchemaProblem) : [toStrictProblem(error as Error)],
    );
  } finally {
    // It would be kept for good otherwise.
    ajv.removeSchema(schema);
  }
}

function toSchemaProblem({ instancePath, message = 'is not valid' }: ErrorObject): FieldProblem {
  return { field: ['schema', ...segmentsOf(instancePath)].join('.'), rule: message };
}

/** Strict mode tells the place in the text of its error only: `… at "#/properties/total" (strictTypes)`. */
function toStrictProblem({ message }: Error): FieldProblem {
  const [, rule = message, place = ''] =
    /^(?:strict mode: )?(.*?)(?: at "[^"#]*#([^"]*)")?(?: \(\w+\))?$/.exec(message) ?? [];
  return { field: ['schema', ...segmentsOf(decoded(place))].join('.'), rule };
}

function toFields(errors: ErrorObject[]): FieldProblem[] {
  const fields = errors.slice(0, MAX_PROBLEMS).map(toField);
  const seen = new Set<string>();
  return fields.filter(({ field, rule }) => {
    const key = `${field} ${rule}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** The path within the event, and the rule; the data's values are not repeated. */
function toField({ instancePath, keyword, params, message = 'is not valid' }: ErrorObject): FieldProblem {
  const path = ['data', ...segmentsOf(instancePath)];
  switch (keyword) {
    case 'required':
    case 'dependentRequired':
      return { field: [...path, params.missingProperty].join('.'), rule: 'is required' };
    case 'additionalProperties':
      return { field: [...path, params.additionalProperty].join('.'), rule: 'is not known here' };
    case 'enum': {
      const allowed = JSON.stringify(params.allowedValues).slice(1, -1);
      return { field: path.join('.'), rule: allowed.length <= MAX_TOLD ? `must be one of ${allowed}` : message };
    }
    default:
      return { field: path.join('.'), rule: message };
  }
}

/** The names of a JSON pointer (RFC 6901). */
function segmentsOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Strict mode names places as URI fragments. */
function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}
