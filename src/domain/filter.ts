/**
 * Which events a webhook wants, by what is in them:
 * `{"data.total":{"$gt":100},"$or":[{"data.currency":"EUR"},{"type":{"$in":["order.created"]}}]}`
 *
 * All members of a filter must hold. A path leads from the envelope (`type`, `version`, `data` and below) through
 * objects, and through lists by number. Only values of the same type are compared:
 *
 * - `$eq`, `$in`: the value is there and is the same. `$ne` is exactly the opposite of `$eq`: it holds if the value
 *   is missing or of another type.
 * - `$gt`, `$lt`: both are numbers, or both are texts (by UTF-16 unit); else it does not hold.
 * - `$exists`: `true` if the path leads to a value, `null` included; `false` if not.
 * - A bare text, number, boolean or `null` stands for `$eq`.
 */
export type Scalar = string | number | boolean | null;
export type Condition = {
  $eq?: Scalar;
  $ne?: Scalar;
  $in?: Scalar[];
  $gt?: string | number;
  $lt?: string | number;
  $exists?: boolean;
};
export type Filter = {
  $and?: Filter[];
  $or?: Filter[];
  $not?: Filter;
  [path: string]: Scalar | Condition | Filter | Filter[] | undefined;
};

/** What a filter looks at. */
export type Filterable = { type: string; version: string; data: unknown };

/** What is wrong with a filter, and where: the keys from its root. */
export type FilterProblem = { path: (string | number)[]; rule: string };

const MAX_DEPTH = 8;
const MAX_NODES = 100;
const MAX_TEXT = 1_000;
const MAX_IN = 100;
/** As JSON: the filters of a tenant are read and made ready together. */
export const MAX_FILTER_BYTES = 16 * 1024;
const MAX_PATH = 256;
const MAX_SEGMENTS = 16;
const PATH = /^(type|version|data(\.[^.]+)*)$/;
const OPERATORS = ['$eq', '$ne', '$in', '$gt', '$lt', '$exists'];

/** What is wrong with a filter, or undefined. Never throws, whatever the value. */
export function filterProblem(value: unknown): FilterProblem | undefined {
  const budget = { nodes: MAX_NODES };
  const problem = problemOfFilter(value, [], 1, budget);
  if (problem || filterBytes(value as Filter) <= MAX_FILTER_BYTES) return problem;
  return { path: [], rule: `must have at most ${MAX_FILTER_BYTES} bytes as JSON` };
}

/** Of a filter without a problem, which is not too deep to be written. */
export function filterBytes(filter: Filter): number {
  return Buffer.byteLength(JSON.stringify(filter));
}

type Path = (string | number)[];
type Budget = { nodes: number };

function problemOfFilter(value: unknown, path: Path, depth: number, budget: Budget): FilterProblem | undefined {
  if (!isObject(value)) return { path, rule: 'must be an object' };
  if (depth > MAX_DEPTH) return { path, rule: `must be at most ${MAX_DEPTH} levels deep` };
  const entries = Object.entries(value);
  if (entries.length === 0) return { path, rule: 'must ask for something' };
  for (const [key, inner] of entries) {
    const problem = problemOfMember(key, inner, [...path, key], depth, budget);
    if (problem) return problem;
  }
  return undefined;
}

function problemOfMember(
  key: string,
  inner: unknown,
  path: Path,
  depth: number,
  budget: Budget,
): FilterProblem | undefined {
  if (--budget.nodes < 0) return { path, rule: `must have at most ${MAX_NODES} conditions` };
  if (key === '$not') return problemOfFilter(inner, path, depth + 1, budget);
  if (key === '$and' || key === '$or') {
    if (!Array.isArray(inner) || inner.length === 0) return { path, rule: 'must be a list of filters' };
    for (const [i, one] of inner.entries()) {
      const problem = problemOfFilter(one, [...path, i], depth + 1, budget);
      if (problem) return problem;
    }
    return undefined;
  }
  if (key.startsWith('$')) return { path, rule: 'is not known here; known are $and, $or, $not and paths' };
  if (key.length > MAX_PATH || key.split('.').length > MAX_SEGMENTS || !PATH.test(key)) {
    return { path, rule: 'must be a path such as type, version or data.customer.id' };
  }
  return isObject(inner) ? problemOfCondition(inner, path, budget) : problemOfScalar(inner, path);
}

function problemOfCondition(condition: object, path: Path, budget: Budget): FilterProblem | undefined {
  const entries = Object.entries(condition);
  if (entries.length === 0) return { path, rule: 'must ask for something' };
  for (const [operator, operand] of entries) {
    const at = [...path, operator];
    if (--budget.nodes < 0) return { path: at, rule: `must have at most ${MAX_NODES} conditions` };
    const problem = problemOfOperand(operator, operand, at);
    if (problem) return problem;
  }
  return undefined;
}

function problemOfOperand(operator: string, operand: unknown, path: Path): FilterProblem | undefined {
  switch (operator) {
    case '$eq':
    case '$ne':
      return problemOfScalar(operand, path);
    case '$in': {
      if (!Array.isArray(operand) || operand.length === 0 || operand.length > MAX_IN) {
        return { path, rule: `must be a list of 1 to ${MAX_IN} values` };
      }
      for (const [i, one] of operand.entries()) {
        const problem = problemOfScalar(one, [...path, i]);
        if (problem) return problem;
      }
      return undefined;
    }
    case '$gt':
    case '$lt':
      if (typeof operand !== 'number' && typeof operand !== 'string')
        return { path, rule: 'must be a number or a text' };
      return problemOfScalar(operand, path);
    case '$exists':
      return typeof operand === 'boolean' ? undefined : { path, rule: 'must be true or false' };
    default:
      return { path, rule: `is not known here; known are ${OPERATORS.join(', ')}` };
  }
}

function problemOfScalar(value: unknown, path: Path): FilterProblem | undefined {
  switch (typeof value) {
    case 'string':
      return value.length <= MAX_TEXT ? undefined : { path, rule: `must be at most ${MAX_TEXT} characters` };
    case 'number':
      return Number.isFinite(value) ? undefined : { path, rule: 'must be a number' };
    case 'boolean':
      return undefined;
    default:
      return value === null ? undefined : { path, rule: 'must be a text, a number, true, false or null' };
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
