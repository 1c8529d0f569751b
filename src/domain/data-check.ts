import { FORMAT_UNITS, type FormatChecks } from './data-formats';
import type { Format } from './data-schema';
import { compareDecimals, type Decimal, isMultipleOf, isWhole, MAX_DIGITS, toDecimal } from './decimal';
import { ExactNumber, type Marks, reveal } from './exact-json';
import type { Steps, WorkBudget } from './work-budget';

/** What is wrong with one value: its path within the event, and the rule. The data's values are not repeated. */
export type DataProblem = { field: string; rule: string };

/**
 * A data schema that ./data-schema.ts has passed, made ready. It is walked here and not compiled to code, because it
 * runs in a process that publishes for everyone: a walk is counted step by step, lets other work run between two steps, ends
 * when the budget is used up, and costs nothing to begin. Says what Ajv would, in Ajv's words (a test compares them).
 */
export type PreparedSchema = {
  /** Keywords, names and values: what it costs to prepare, and to keep. */
  parts: number;
  /** Some rule depends on the value of a number: see ./exact-json.ts. */
  looksAtNumbers: boolean;
  root: Node;
};

export const MAX_PROBLEMS = 50;
/** Characters of a list of allowed values. */
const MAX_TOLD = 200;
/** Characters of a path: names in the data may be as long as the data. */
const MAX_FIELD = 512;
/** Characters of a text that cost one unit. */
const CHARACTERS_PER_UNIT = 64;
/** Every problem is a text. */
const PROBLEM_UNITS = 5;

type Run = {
  budget: WorkBudget;
  /** How numbers that a double does not hold are marked in the data. */
  marks: Marks | undefined;
  /** The path to the value that is being checked. */
  path: (string | number)[];
  problems: DataProblem[];
  /** Ends with the first rule that is broken. */
  firstOnly: boolean;
  /** Within `not` and `if` nothing is reported. */
  silent: number;
};
/** A rule that has no schema below it. */
type Rule = { units: number; holds: (value: unknown, run: Run) => boolean };
type JsonObject = Record<string, unknown>;
type Node = {
  never: boolean;
  rules: Rule[];
  ref?: Node | undefined;
  allOf?: Node[] | undefined;
  anyOf?: Node[] | undefined;
  oneOf?: Node[] | undefined;
  not?: Node | undefined;
  branch?: { condition: Node; yes?: Node | undefined; no?: Node | undefined } | undefined;
  properties?: Map<string, Node> | undefined;
  additional?: Node | 'none' | undefined;
  prefix?: Node[] | undefined;
  items?: Node | undefined;
  /** Without a schema below it. */
  isLeaf: boolean;
};

/**
 * Makes a schema ready, in time linear in its text.
 *
 * @param marks how numbers that a double does not hold are marked in the schema
 */
export function prepareSchema(schema: object, formats: FormatChecks, marks?: Marks): PreparedSchema {
  const defs = objectOf((schema as JsonObject).$defs);
  const known = new Map<string, Node>();
  let parts = 0;
  let looksAtNumbers = false;
  const root = toNode(schema);
  return { parts, looksAtNumbers, root };

  function toNode(value: unknown): Node {
    parts++;
    if (!isObject(value)) return { never: value === false, rules: [], isLeaf: true };
    const { properties, additionalProperties, prefixItems, items, if: condition } = value;
    const rules = rulesOf(value, { formats, marks });
    looksAtNumbers ||= NUMERIC.some((keyword) => keyword in value) || asksForNumber(value.type);
    parts += rules.length;
    const below = {
      ref: typeof value.$ref === 'string' ? refTo(value.$ref.slice('#/$defs/'.length)) : undefined,
      allOf: nodesOf(value.allOf),
      anyOf: nodesOf(value.anyOf),
      oneOf: nodesOf(value.oneOf),
      not: nodeOf(value.not),
      branch:
        condition === undefined
          ? undefined
          : { condition: toNode(condition), yes: nodeOf(value.then), no: nodeOf(value.else) },
      properties: isObject(properties)
        ? new Map(Object.entries(properties).map(([name, inner]) => [name, toNode(inner)]))
        : undefined,
      additional: additionalProperties === false ? ('none' as const) : nodeOf(anything(additionalProperties)),
      prefix: nodesOf(prefixItems),
      items: nodeOf(anything(items)),
    };
    return { never: false, rules, ...below, isLeaf: Object.values(below).every((one) => one === undefined) };
  }

  /** Shared by all that refer to it; references never go in a circle. */
  function refTo(name: string): Node {
    const node = known.get(name) ?? toNode(defs[name]);
    known.set(name, node);
    return node;
  }

  function nodeOf(value: unknown): Node | undefined {
    return value === undefined ? undefined : toNode(value);
  }

  function nodesOf(value: unknown): Node[] | undefined {
    return Array.isArray(value) ? value.map(toNode) : undefined;
  }
}

/**
 * What is wrong with data; an empty list if nothing is.
 *
 * @param report `first`: ends with the first rule that is broken; else at most {@link MAX_PROBLEMS} are reported
 * @param marks how numbers that a double does not hold are marked in the data
 * @throws TooCostlyError if the budget is used up before the check does
 */
export function* checkData(
  { root }: PreparedSchema,
  data: unknown,
  budget: WorkBudget,
  report: 'first' | 'all',
  marks?: Marks,
): Steps<DataProblem[]> {
  const run: Run = { budget, marks, path: ['data'], problems: [], firstOnly: report === 'first', silent: 0 };
  yield* check(root, data, run);
  const seen = new Set<string>();
  return run.problems.filter(({ field, rule }) => {
    const key = `${field} ${rule}`;
    return !seen.has(key) && seen.add(key);
  });
}

function* check(node: Node, value: unknown, run: Run): Steps<boolean> {
  if (run.budget.isTimeToPause()) yield;
  let valid = checkOwn(node, value, run);
  if (node.isLeaf) return valid;
  for (const part of PARTS) {
    if (!valid && endsEarly(run)) return false;
    if (!(yield* part(node, value, run))) valid = false;
  }
  return valid;
}

const endsEarly = ({ firstOnly, silent }: Run) => firstOnly || silent > 0;

function checkOwn({ never, rules }: Node, value: unknown, run: Run): boolean {
  run.budget.spend(1);
  if (never) return report(run, 'boolean schema is false');
  let valid = true;
  for (const { units, holds } of rules) {
    run.budget.spend(units);
    if (holds(value, run)) continue;
    valid = false;
    if (endsEarly(run)) return false;
  }
  return valid;
}

/** The schemas of a node for the same value, and for those within it. */
const PARTS: ((node: Node, value: unknown, run: Run) => Steps<boolean>)[] = [
  checkRef,
  checkAllOf,
  checkAnyOf,
  checkOneOf,
  checkNot,
  checkBranch,
  checkMembers,
  checkItems,
];

function* checkRef({ ref }: Node, value: unknown, run: Run): Steps<boolean> {
  return !ref || (yield* check(ref, value, run));
}

function* checkAllOf({ allOf = [] }: Node, value: unknown, run: Run): Steps<boolean> {
  let valid = true;
  for (const one of allOf) {
    if (run.budget.isTimeToPause()) yield;
    if (one.isLeaf ? checkOwn(one, value, run) : yield* check(one, value, run)) continue;
    valid = false;
    if (endsEarly(run)) break;
  }
  return valid;
}

/** Reported only once it is known that no branch matches: in a list, most problems would be dropped again. */
function* checkAnyOf({ anyOf }: Node, value: unknown, run: Run): Steps<boolean> {
  if (!anyOf || (yield* countMatching(anyOf, value, run, 1, 'silent')) === 1) return true;
  if (run.silent === 0) yield* countMatching(anyOf, value, run, 1, 'reported');
  return report(run, 'must match a schema in anyOf');
}

function* checkOneOf({ oneOf }: Node, value: unknown, run: Run): Steps<boolean> {
  if (!oneOf || (yield* countMatching(oneOf, value, run, 2, 'silent')) === 1) return true;
  if (run.silent === 0) yield* countMatching(oneOf, value, run, 2, 'reported');
  return report(run, 'must match exactly one schema in oneOf');
}

/** How many branches match, up to a limit. */
function* countMatching(
  branches: Node[],
  value: unknown,
  run: Run,
  enough: number,
  mode: 'silent' | 'reported',
): Steps<number> {
  const silent = mode === 'silent' ? 1 : 0;
  run.silent += silent;
  let matching = 0;
  for (const one of branches) {
    if (run.budget.isTimeToPause()) yield;
    const matches = one.isLeaf ? checkOwn(one, value, run) : yield* check(one, value, run);
    if (matches && ++matching === enough) break;
  }
  run.silent -= silent;
  return matching;
}

function* checkNot({ not }: Node, value: unknown, run: Run): Steps<boolean> {
  if (!not || !(yield* checkSilently(not, value, run))) return true;
  return report(run, 'must NOT be valid');
}

function* checkBranch({ branch }: Node, value: unknown, run: Run): Steps<boolean> {
  if (!branch) return true;
  const yes = yield* checkSilently(branch.condition, value, run);
  const next = yes ? branch.yes : branch.no;
  if (!next || (yield* check(next, value, run))) return true;
  return report(run, `must match "${yes ? 'then' : 'else'}" schema`);
}

function* checkSilently(node: Node, value: unknown, run: Run): Steps<boolean> {
  run.silent++;
  const valid = yield* check(node, value, run);
  run.silent--;
  return valid;
}

function* checkMembers({ properties, additional }: Node, value: unknown, run: Run): Steps<boolean> {
  if (!isObject(value) || !(properties || additional)) return true;
  let valid = true;
  if (additional) {
    for (const name of Object.keys(value)) {
      run.budget.spend(1);
      if (properties?.has(name)) continue;
      if (additional === 'none') report(run, 'is not known here', name);
      else if (yield* checkWithin(additional, value, name, run)) continue;
      valid = false;
      if (endsEarly(run)) return false;
    }
  }
  for (const [name, node] of properties ?? []) {
    run.budget.spend(1);
    if (!Object.hasOwn(value, name) || (yield* checkWithin(node, value, name, run))) continue;
    valid = false;
    if (endsEarly(run)) return false;
  }
  return valid;
}

function* checkItems({ prefix, items }: Node, value: unknown, run: Run): Steps<boolean> {
  if (!Array.isArray(value) || !(prefix || items)) return true;
  let valid = true;
  const first = prefix?.length ?? 0;
  for (let i = 0; i < Math.min(first, value.length); i++) {
    if (yield* checkWithin(prefix![i]!, value, i, run)) continue;
    valid = false;
    if (endsEarly(run)) return false;
  }
  if (!items || value.length <= first) return valid;
  if (items.never && prefix) return report(run, `must NOT have more than ${first} items`);
  for (let i = first; i < value.length; i++) {
    if (yield* checkWithin(items, value, i, run)) continue;
    valid = false;
    if (endsEarly(run)) return false;
  }
  return valid;
}

/** A value within another. */
function* checkWithin(node: Node, outer: object, key: string | number, run: Run): Steps<boolean> {
  if (run.budget.isTimeToPause()) yield;
  run.path.push(key);
  const inner = reveal((outer as Record<string | number, unknown>)[key], run.marks);
  const valid = node.isLeaf ? checkOwn(node, inner, run) : yield* check(node, inner, run);
  run.path.pop();
  return valid;
}

/** False, for the caller to hand on. */
function report({ budget, problems, path, silent }: Run, rule: string, below?: string): false {
  if (silent > 0 || problems.length >= MAX_PROBLEMS) return false;
  budget.spend(PROBLEM_UNITS + path.length);
  const names = below === undefined ? path : [...path, below];
  const field = names.map((name) => String(name).slice(0, MAX_FIELD)).join('.');
  problems.push({ field: field.length > MAX_FIELD ? `${field.slice(0, MAX_FIELD)}…` : field, rule });
  return false;
}

type Preparing = { formats: FormatChecks; marks: Marks | undefined };

function rulesOf(schema: JsonObject, preparing: Preparing): Rule[] {
  return Object.entries(schema).flatMap(
    ([keyword, operand]) => RULES[keyword]?.(reveal(operand, preparing.marks) as never, preparing) ?? [],
  );
}

/** What may be told of a number apart from its being one. */
const NUMERIC = ['enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'];
const asksForNumber = (types: unknown) => [types].flat().some((one) => one === 'number' || one === 'integer');

/** The keywords that look at one value only, each by its operand. */
const RULES: Record<string, (operand: never, preparing: Preparing) => Rule> = {
  type: (types: string | string[]) => {
    const allowed = [types].flat();
    const rule = `must be ${allowed.join(',')}`;
    const tests = allowed.map((one) => TYPES[one]!);
    return { units: 1, holds: (value, run) => tests.some((test) => test(value)) || report(run, rule) };
  },
  enum: (given: unknown[], { marks }) => {
    const values = given.map((one) => reveal(one, marks));
    const allowed = new Set(values.map(toKey));
    const list = values.map(toText).join(',');
    const rule = list.length <= MAX_TOLD ? `must be one of ${list}` : 'must be equal to one of the allowed values';
    return { units: 1, holds: (value, run) => allowed.has(toKey(value)) || report(run, rule) };
  },
  const: (only: unknown) => ({
    units: 1,
    holds: (value, run) => toKey(value) === toKey(only) || report(run, 'must be equal to constant'),
  }),
  format: (format: Format, { formats }) => {
    const matches = formats[format];
    return forTexts((text, run) => {
      run.budget.spend(FORMAT_UNITS[format](text));
      return matches(text) || report(run, `must match format "${format}"`);
    });
  },
  minLength: (min: number) =>
    forTexts((text, run) => hasAtLeast(text, min, run) || report(run, `must NOT have fewer than ${min} characters`)),
  maxLength: (max: number) =>
    forTexts(
      (text, run) => !hasAtLeast(text, max + 1, run) || report(run, `must NOT have more than ${max} characters`),
    ),
  minimum: (min: number | ExactNumber) => bound('>=', min, (order) => order >= 0),
  maximum: (max: number | ExactNumber) => bound('<=', max, (order) => order <= 0),
  exclusiveMinimum: (min: number | ExactNumber) => bound('>', min, (order) => order > 0),
  exclusiveMaximum: (max: number | ExactNumber) => bound('<', max, (order) => order < 0),
  multipleOf(step: number | ExactNumber) {
    const rule = `must be multiple of ${toText(step)}`;
    const exact = decimalOf(step);
    return forNumbers((n, run) => {
      if (isSafe(n) && isSafe(step)) return n % step === 0 || report(run, rule);
      run.budget.spend(unitsOf(n));
      const value = decimalOf(n);
      if (!value) return report(run, TOO_LONG);
      return (exact !== undefined && exact.coefficient !== 0n && isMultipleOf(value, exact)) || report(run, rule);
    }, 2);
  },
  required: (names: string[]) => ({
    units: names.length,
    holds: (value, run) => !isObject(value) || requireAll(value, names, run),
  }),
  dependentRequired: (byName: Record<string, string[]>) => ({
    units: Object.values(byName).flat().length + Object.keys(byName).length,
    holds(value, run) {
      if (!isObject(value)) return true;
      let valid = true;
      for (const [name, names] of Object.entries(byName)) {
        if (!Object.hasOwn(value, name) || requireAll(value, names, run)) continue;
        valid = false;
        if (endsEarly(run)) break;
      }
      return valid;
    },
  }),
  minProperties: (min: number) =>
    counting((count, run) => count >= min || report(run, `must NOT have fewer than ${min} properties`)),
  maxProperties: (max: number) =>
    counting((count, run) => count <= max || report(run, `must NOT have more than ${max} properties`)),
  minItems: (min: number) => ({
    units: 1,
    holds: (value, run) =>
      !Array.isArray(value) || value.length >= min || report(run, `must NOT have fewer than ${min} items`),
  }),
  maxItems: (max: number) => ({
    units: 1,
    holds: (value, run) =>
      !Array.isArray(value) || value.length <= max || report(run, `must NOT have more than ${max} items`),
  }),
};

const TYPES: Record<string, (value: unknown) => boolean> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  // JSON has no infinity, but 1e400 is read as it where it is not marked.
  number: (value) => Number.isFinite(value) || value instanceof ExactNumber,
  integer: (value) =>
    Number.isInteger(value) || (value instanceof ExactNumber && value.decimal !== undefined && isWhole(value.decimal)),
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};

function forTexts(holds: (text: string, run: Run) => boolean): Rule {
  return { units: 1, holds: (value, run) => typeof value !== 'string' || holds(value, run) };
}

function forNumbers(holds: (n: number | ExactNumber, run: Run) => boolean, units = 1): Rule {
  return {
    units,
    holds: (value, run) =>
      !(Number.isFinite(value) || value instanceof ExactNumber) || holds(value as number | ExactNumber, run),
  };
}

const TOO_LONG = `must be a number of at most ${MAX_DIGITS} digits`;

/** A number on one side of another one. Two doubles are in the order of the decimals that their texts say. */
function bound(sign: string, limit: number | ExactNumber, holds: (order: number) => boolean): Rule {
  const rule = `must be ${sign} ${toText(limit)}`;
  const exact = decimalOf(limit);
  return forNumbers((n, run) => {
    if (typeof n === 'number' && typeof limit === 'number') return holds(n - limit) || report(run, rule);
    run.budget.spend(unitsOf(n));
    const value = decimalOf(n);
    if (!value) return report(run, TOO_LONG);
    return (exact !== undefined && holds(compareDecimals(value, exact))) || report(run, rule);
  });
}

const isSafe = (n: number | ExactNumber): n is number => Number.isSafeInteger(n);

/** Undefined: it has too many digits. */
const decimalOf = (n: number | ExactNumber): Decimal | undefined =>
  n instanceof ExactNumber ? n.decimal : toDecimal(n);

/** Arithmetic of many digits. */
const unitsOf = (n: number | ExactNumber) => (n instanceof ExactNumber ? 20 + n.text.length : 20);

const toText = (value: unknown): string => (value instanceof ExactNumber ? value.text : JSON.stringify(value));

/** The same for values that are the same: a number that a double does not hold by its decimal. */
function toKey(value: unknown): unknown {
  if (typeof value === 'string') return `text ${value}`;
  if (!(value instanceof ExactNumber)) return value;
  const { decimal, text } = value;
  return decimal ? `number ${decimal.coefficient}e${decimal.exponent}` : `number ${text}`;
}

function counting(holds: (count: number, run: Run) => boolean): Rule {
  return {
    units: 1,
    holds(value, run) {
      if (!isObject(value)) return true;
      const count = Object.keys(value).length;
      run.budget.spend(count);
      return holds(count, run);
    },
  };
}

function requireAll(value: object, names: string[], run: Run): boolean {
  let valid = true;
  for (const name of names) {
    if (Object.hasOwn(value, name)) continue;
    valid = report(run, 'is required', name);
    if (endsEarly(run)) break;
  }
  return valid;
}

/** Counts characters, not UTF-16 units, and only where it matters: one has at most two units. */
function hasAtLeast(text: string, count: number, { budget }: Run): boolean {
  if (text.length < count) return false;
  if (text.length >= 2 * count) return true;
  budget.spend(text.length / CHARACTERS_PER_UNIT);
  let characters = text.length;
  for (let i = 1; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00 || (text.charCodeAt(i - 1) & 0xfc00) !== 0xd800) continue;
    characters--;
    i++;
  }
  return characters >= count;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `true` asks for nothing of what it is for. */
const anything = (value: unknown) => (value === true ? undefined : value);

const objectOf = (value: unknown): JsonObject => (isObject(value) ? value : {});
