import { randomUUID } from 'node:crypto';
import Ajv2020, { type ErrorObject } from 'ajv/dist/2020';
import { checkData, prepareSchema } from '../../domain/data-check';
import { measureSchema } from '../../domain/data-schema';
import { markRounded } from '../../domain/exact-json';
import { parseJsonInSteps } from '../../domain/parse-json';
import type { Steps, WorkBudget } from '../../domain/work-budget';
import type { FieldProblem } from '../errors';
import { FORMAT_CHECKS } from './formats';

/**
 * Finds the errors in data, which is given parsed and as it was written; an empty list if there are none. The text counts
 * where a double does not hold a number.
 */
export type DataValidator = {
  /** Parts of the schema: the cost of compiling and caching it. */
  parts: number;
  /** @throws TooCostlyError */
  check: (data: unknown, text: string, budget: WorkBudget) => Steps<FieldProblem[]>;
};

/** A schema that cannot be used. */
export class BadSchemaError extends Error {
  override readonly name = 'BadSchemaError';

  constructor(readonly fields: FieldProblem[]) {
    super('the schema cannot be used');
  }
}

const MAX_PROBLEMS = 50;
/** The most of schema width times values of the data: larger data is refused without a check. */
const MAX_WORK = 1_000_000;
/** Every error is an object: with more work than this only the first one is returned. */
const MAX_WORK_FOR_ALL = 50_000;
/** Checking a text takes time by its length: so many characters count as a value. */
const CHARACTERS_PER_VALUE = 64;
/** Counting values is fast: so many of them cost one unit. */
const VALUES_PER_UNIT = 2;

/**
 * Ajv validates schemas, in strict mode; ../../domain/data-check.ts checks the data. Created once, because compiling the
 * dialect's own schema takes some milliseconds. The code that Ajv generates is never run, so it is not optimized.
 */
const ajv = new Ajv2020({
  strict: true,
  strictTuples: false,
  // A field may be required in one branch and described elsewhere.
  strictRequired: false,
  allowUnionTypes: true,
  // Names such as `toString` are on every object's prototype.
  ownProperties: true,
  addUsedSchema: false,
  formats: FORMAT_CHECKS,
  logger: false,
  code: { optimize: false },
});

/**
 * Checks a data schema when it is registered. Takes some milliseconds.
 * @throws BadSchemaError naming each part of the schema that is wrong
 */
export function requireGoodSchema(schema: object): void {
  measured(schema);
  try {
    ajv.compile(schema);
  } catch (error) {
    const broken = ajv.validateSchema(schema) ? undefined : ajv.errors;
    throw new BadSchemaError(
      broken?.length ? broken.slice(0, MAX_PROBLEMS).map(toSchemaProblem) : [toStrictProblem(error as Error)],
    );
  } finally {
    // Ajv would otherwise keep it forever.
    ajv.removeSchema(schema);
  }
}

/** The name of the member that marks a number: nobody who writes data or a schema knows it. */
const MARK = randomUUID();
/** Characters that cost a unit to be marked and parsed once more. */
const MARKED_CHARACTERS_PER_UNIT = 8;

/**
 * Creates a validator of a data schema that has been registered.
 * @param text the schema as it was written
 * @throws BadSchemaError naming what makes it too large to be checked
 */
export function createValidator(text: string): DataValidator {
  const schema = JSON.parse(text) as object;
  const { width } = measured(schema);
  const marked = markRounded(text, MARK);
  const prepared = marked
    ? prepareSchema(JSON.parse(marked.json), FORMAT_CHECKS, marked.marks)
    : prepareSchema(schema, FORMAT_CHECKS);
  return { parts: prepared.parts, check };

  function* check(data: unknown, dataText: string, budget: WorkBudget): Steps<FieldProblem[]> {
    const values = countValues(data, MAX_WORK / width);
    budget.spend(values / VALUES_PER_UNIT);
    if (width * values > MAX_WORK) {
      return [{ field: 'data', rule: 'has too many values to be checked against its schema' }];
    }
    const report = width * values > MAX_WORK_FOR_ALL ? 'first' : 'all';
    const exact = prepared.looksAtNumbers ? markRounded(dataText, MARK) : undefined;
    if (!exact) return yield* checkData(prepared, data, budget, report);
    budget.spend(exact.json.length / MARKED_CHARACTERS_PER_UNIT);
    yield;
    const value = yield* parseJsonInSteps(exact.json);
    return yield* checkData(prepared, value, budget, report, exact.marks);
  }
}

function measured(schema: object): { size: number; width: number } {
  const found = measureSchema(schema);
  if (!('problem' in found)) return found;
  const { path, rule } = found.problem;
  throw new BadSchemaError([{ field: ['schema', ...path].join('.'), rule }]);
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

function toSchemaProblem({ instancePath, message = 'is not valid' }: ErrorObject): FieldProblem {
  return { field: ['schema', ...segmentsOf(instancePath)].join('.'), rule: message };
}

/** Strict mode names the place only in the text of its error: `… at "#/properties/total" (strictTypes)`. */
function toStrictProblem({ message }: Error): FieldProblem {
  const [, rule = message, place = ''] =
    /^(?:strict mode: )?(.*?)(?: at "[^"#]*#([^"]*)")?(?: \(\w+\))?$/.exec(message) ?? [];
  return { field: ['schema', ...segmentsOf(decoded(place))].join('.'), rule };
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
