import { matchingPatterns } from './event-types';
import type { Condition, Filter, Filterable } from './filter';

/** A webhook with a filter (one that ./filter.ts has passed). */
export type Filtered = { webhookId: string; patterns: string[]; filter: Filter };

/** The filters of one tenant, made ready: asking costs some 50 ns for each condition. */
export type FilterSet = {
  /** What an event of this type costs at most, in units of work (see ./work-budget.ts). */
  unitsOf: (type: string) => number;
  /** The webhooks that would get the event by its type, but whose filter it does not pass. Never throws. */
  excludedBy: (event: Filterable) => string[];
};

/** Conditions that are asked in the time of one unit. */
const CONDITIONS_PER_UNIT = 2;
/** Types whose filters are remembered. */
const MAX_TYPES = 1_000;

type Test = () => boolean;
/** Filters that say the same. */
type Group = { matches: Test; conditions: number };
/** The filters that events of one type have to pass, each with its webhooks. */
type OfType = { units: number; groups: [Group, string[]][] };

/**
 * Makes filters ready, in time linear in their text. Those that say the same are asked once for all their webhooks, and
 * a value that several ask about is looked up once for each event.
 */
export function createFilterSet(filtered: readonly Filtered[]): FilterSet {
  const byText = new Map<string, Group>();
  const reads = new Map<string, () => unknown>();
  const grouped = filtered.map(({ webhookId, patterns, filter }) => ({ webhookId, patterns, group: groupOf(filter) }));
  const types = new Map<string, OfType>();
  let current: Filterable | undefined;
  /** Counts the events that were asked about: what was found in another one does not count. */
  let round = 0;

  return {
    unitsOf: (type) => ofType(type).units,
    excludedBy(event) {
      current = event;
      round++;
      const excluded: string[] = [];
      for (const [{ matches }, webhookIds] of ofType(event.type).groups) {
        if (!matches()) excluded.push(...webhookIds);
      }
      current = undefined;
      return excluded;
    },
  };

  function ofType(type: string): OfType {
    const known = types.get(type);
    if (known) return known;
    const matching = new Set(matchingPatterns(type));
    const groups = new Map<Group, string[]>();
    for (const { webhookId, patterns, group } of grouped) {
      if (!patterns.some((one) => matching.has(one))) continue;
      const webhookIds = groups.get(group);
      if (webhookIds) webhookIds.push(webhookId);
      else groups.set(group, [webhookId]);
    }
    let units = 0;
    for (const [{ conditions }, { length }] of groups) units += length + conditions / CONDITIONS_PER_UNIT;
    const found = { units, groups: [...groups] };
    if (types.size >= MAX_TYPES) types.clear();
    types.set(type, found);
    return found;
  }

  function groupOf(filter: Filter): Group {
    const text = JSON.stringify(filter);
    const group = byText.get(text) ?? toGroup(filter);
    byText.set(text, group);
    return group;
  }

  function toGroup(filter: Filter): Group {
    let conditions = 0;
    return { matches: toTest(filter), conditions };

    function toTest(asked: Filter): Test {
      const tests = Object.entries(asked).map(([key, value]) => toTestOf(key, value));
      return tests.length === 1 ? tests[0]! : () => tests.every((test) => test());
    }

    function toTestOf(key: string, value: Filter[string]): Test {
      conditions++;
      if (key === '$not') {
        const test = toTest(value as Filter);
        return () => !test();
      }
      if (key === '$and' || key === '$or') {
        const tests = (value as Filter[]).map(toTest);
        return key === '$and' ? () => tests.every((test) => test()) : () => tests.some((test) => test());
      }
      const read = readOf(key);
      if (typeof value !== 'object' || value === null) return () => read() === value;
      const tests = Object.entries(value as Condition).map(([operator, operand]) => holds(operator, operand));
      conditions += tests.length;
      return () => {
        const found = read();
        return tests.every((test) => test(found));
      };
    }
  }

  function readOf(path: string): () => unknown {
    const known = reads.get(path);
    if (known) return known;
    const segments = path.split('.');
    let found: unknown;
    let foundIn = 0;
    const read = () => {
      if (foundIn !== round) {
        const value = valueAt(current, segments);
        // No condition asks more of an object or a list than that it is there; it is not held on to.
        found = typeof value === 'object' && value !== null ? SOMETHING : value;
        foundIn = round;
      }
      return found;
    };
    reads.set(path, read);
    return read;
  }
}

const SOMETHING = Symbol('an object or a list');

function holds(operator: string, operand: unknown): (found: unknown) => boolean {
  switch (operator as keyof Condition) {
    case '$eq':
      return (found) => found === operand;
    case '$ne':
      return (found) => found !== operand;
    case '$in': {
      const allowed = new Set(operand as unknown[]);
      return (found) => allowed.has(found);
    }
    case '$gt':
      return (found) => isGreater(found, operand);
    case '$lt':
      return (found) => isGreater(operand, found);
    case '$exists':
      return (found) => (found !== undefined) === operand;
    default:
      return () => false;
  }
}

function isGreater(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a > b;
  return typeof a === 'string' && typeof b === 'string' && a > b;
}

/** Undefined if the path leads nowhere: JSON has no such value. */
function valueAt(event: unknown, segments: string[]): unknown {
  let at = event;
  for (const segment of segments) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, segment)) return undefined;
    // A list has a length as well.
    if (Array.isArray(at) && !/^\d+$/.test(segment)) return undefined;
    at = (at as Record<string, unknown>)[segment];
  }
  return at;
}
