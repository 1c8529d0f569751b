/**
 * Which events a webhook wants, by what is in them:
 * `{"data.total":{"$gt":100},"$or":[{"data.currency":"EUR"},{"type":{"$in":["order.created"]}}]}`
 *
 * All members of a filter must hold. A path leads from the envelope (`type`, `version`, `data` and below) through
 * objects, and through lists by number. Only values of the same type are compared:
 *
 * - `$eq`, `$in`: the value is there and is the same. `$ne` and `$nin` are exactly the opposite: they hold if the value
 *   is missing or of another type.
 * - `$gt`, `$gte`, `$lt`, `$lte`: both are numbers, or both are texts (by UTF-16 unit); else it does not hold.
 * - `$exists`: `true` if the path leads to a value, `null` included; `false` if not.
 * - `$elemMatch`: the path leads to a list, and for one of its first {@link MAX_ELEMENTS} elements all that is asked for
 *   holds: conditions such as `{"$gte":5}` of the element itself, or a filter whose paths begin in it.
 * - A bare text, number, boolean or `null` stands for `$eq`.
 */
export type Scalar = string | number | boolean | null;
export type Condition = {
  $eq?: Scalar;
  $ne?: Scalar;
  $in?: Scalar[];
  $nin?: Scalar[];
  $gt?: string | number;
  $gte?: string | number;
  $lt?: string | number;
  $lte?: string | number;
  $exists?: boolean;
  $elemMatch?: Condition | Filter;
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
/** Elements of a list that `$elemMatch` looks at. */
export const MAX_ELEMENTS = 1_000;
/** Conditions inside the `$elemMatch` of a filter, all together: each is asked of every element. */
const MAX_OF_ELEMENTS = 10;
const PATH = /^(type|version|data(\.[^.]+)*)$/;
const PATH_IN_ELEMENT = /^[^.]+(\.[^.]+)*$/;
const OPERATORS = ['$eq', '$ne', '$in', '$nin', '$gt', '$gte', '$lt', '$lte', '$exists', '$elemMatch'];

/** Whether what `$elemMatch` asks is of the element itself (`{"$gte":5}`), not of what is in it (`{"sku":"a"}`). */
export const isCondition = (asked: object): asked is Condition =>
  Object.keys(asked).every((key) => OPERATORS.includes(key));

/** What is wrong with a filter, or undefined. Never throws, whatever the value. */
export function filterProblem(value: unknown): FilterProblem | undefined {
  const budget = { nodes: MAX_NODES, ofElements: MAX_OF_ELEMENTS, inElement: false };
  const problem = problemOfFilter(value, [], 1, budget);
  if (problem || filterBytes(value as Filter) <= MAX_FILTER_BYTES) return problem;
  return { path: [], rule: `must have at most ${MAX_FILTER_BYTES} bytes as JSON` };
}

/** Of a filter without a problem, which is not too deep to be written. */
export function filterBytes(filter: Filter): number {
  return Buffer.byteLength(JSON.stringify(filter));
}

type Path = (string | number)[];
/** What a filter may yet have. `inElement`: what is looked at is inside an `$elemMatch`. */
type Budget = { nodes: number; ofElements: number; inElement: boolean };

function overBudget(path: Path, budget: Budget): FilterProblem | undefined {
  if (--budget.nodes < 0) return { path, rule: `must have at most ${MAX_NODES} conditions` };
  if (budget.inElement && --budget.ofElements < 0) {
    return { path, rule: `must have at most ${MAX_OF_ELEMENTS} conditions inside $elemMatch` };
  }
  return undefined;
}

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
  const over = overBudget(path, budget);
  if (over) return over;
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
  const form = budget.inElement ? PATH_IN_ELEMENT : PATH;
  if (key.length > MAX_PATH || key.split('.').length > MAX_SEGMENTS || !form.test(key)) {
    const example = budget.inElement ? 'sku or price.amount, from the element on' : 'type, version or data.customer.id';
    return { path, rule: `must be a path such as ${example}` };
  }
  return isObject(inner) ? problemOfCondition(inner, path, depth, budget) : problemOfScalar(inner, path);
}

function problemOfCondition(condition: object, path: Path, depth: number, budget: Budget): FilterProblem | undefined {
  const entries = Object.entries(condition);
  if (entries.length === 0) return { path, rule: 'must ask for something' };
  for (const [operator, operand] of entries) {
    const at = [...path, operator];
    const problem =
      overBudget(at, budget) ??
      (operator === '$elemMatch'
        ? problemOfElement(operand, at, depth, budget)
        : problemOfOperand(operator, operand, at));
    if (problem) return problem;
  }
  return undefined;
}

function problemOfElement(asked: unknown, path: Path, depth: number, budget: Budget): FilterProblem | undefined {
  if (!isObject(asked)) return { path, rule: 'must be an object' };
  if (budget.inElement) return { path, rule: 'must not stand inside another $elemMatch' };
  budget.inElement = true;
  const ofElement = isCondition(asked) ? problemOfCondition : problemOfFilter;
  const problem = ofElement(asked, path, depth + 1, budget);
  budget.inElement = false;
  return problem;
}

function problemOfOperand(operator: string, operand: unknown, path: Path): FilterProblem | undefined {
  switch (operator) {
    case '$eq':
    case '$ne':
      return problemOfScalar(operand, path);
    case '$in':
    case '$nin': {
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
    case '$gte':
    case '$lt':
    case '$lte':
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
