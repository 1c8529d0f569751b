import { matchingPatterns } from './event-types';
import { type Condition, type Filter, type Filterable, isCondition, MAX_ELEMENTS } from './filter';
import type { Steps, WorkBudget } from './work-budget';

/** A webhook with a filter (one that ./filter.ts has passed). */
export type Filtered = { webhookId: string; patterns: string[]; filter: Filter };

/** The filters of one tenant, made ready: asking costs some 50 ns for each condition. */
export type FilterSet = {
  /** What an event of this type costs, in units of work (see ./work-budget.ts), but for the elements of its lists. */
  unitsOf: (type: string) => number;
  /**
   * The webhooks that would get the event by its type, but whose filter it does not pass.
   * @throws TooCostlyError if the elements that are looked at cost more than is left
   */
  excludedBy: (event: Filterable, budget: WorkBudget) => Steps<string[]>;
};

/** Conditions that are asked in the time of one unit. */
const CONDITIONS_PER_UNIT = 2;
/** Types whose filters are remembered. */
const MAX_TYPES = 1_000;

type Test = () => boolean;
/** What leads to a path's value: of the event that is looked at, or of an element of one of its lists. */
type Reads = (segments: string[]) => () => unknown;
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
  /** Conditions that were asked of elements, and are not counted yet. */
  let askedOfElements = 0;

  return {
    unitsOf: (type) => ofType(type).units,
    *excludedBy(event, budget) {
      const excluded: string[] = [];
      look(event);
      for (const [{ matches }, webhookIds] of ofType(event.type).groups) {
        if (!matches()) excluded.push(...webhookIds);
        if (askedOfElements === 0) continue;
        budget.spend(askedOfElements / CONDITIONS_PER_UNIT);
        askedOfElements = 0;
        if (budget.isTimeToPause()) {
          yield;
          // Another event may have been looked at meanwhile.
          look(event);
        }
      }
      current = undefined;
      return excluded;
    },
  };

  function look(event: Filterable): void {
    current = event;
    round++;
  }

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
    return { matches: toTest(filter, readOf), conditions };

    function toTest(asked: Filter, reads: Reads): Test {
      const tests = Object.entries(asked).map(([key, value]) => toTestOf(key, value, reads));
      return tests.length === 1 ? tests[0]! : () => tests.every((test) => test());
    }

    function toTestOf(key: string, value: Filter[string], reads: Reads): Test {
      conditions++;
      if (key === '$not') {
        const test = toTest(value as Filter, reads);
        return () => !test();
      }
      if (key === '$and' || key === '$or') {
        const tests = (value as Filter[]).map((one) => toTest(one, reads));
        return key === '$and' ? () => tests.every((test) => test()) : () => tests.some((test) => test());
      }
      const segments = key.split('.');
      const read = reads(segments);
      if (typeof value !== 'object' || value === null) return () => read() === value;
      return toConditionTest(value as Condition, segments, read);
    }

    function toConditionTest(condition: Condition, segments: string[], read: () => unknown): Test {
      const { $elemMatch, ...ofValue } = condition;
      const tests = Object.entries(ofValue).map(([operator, operand]) => holds(operator, operand));
      conditions += tests.length;
      const element = $elemMatch && toElementTest($elemMatch, segments);
      return () => {
        const found = read();
        return tests.every((test) => test(found)) && (!element || element());
      };
    }

    function toElementTest(asked: Condition | Filter, segments: string[]): Test {
      const before = conditions;
      let element: unknown;
      const readElement: Reads = (inner) => () => shown(valueAt(element, inner));
      const test = isCondition(asked) ? toConditionTest(asked, [], readElement([])) : toTest(asked, readElement);
      const ofEach = conditions - before;
      return () => {
        const list = valueAt(current, segments);
        if (!Array.isArray(list)) return false;
        const end = Math.min(list.length, MAX_ELEMENTS);
        let holdsForOne = false;
        for (let i = 0; i < end && !holdsForOne; i++) {
          element = list[i];
          askedOfElements += ofEach;
          holdsForOne = test();
        }
        element = undefined;
        return holdsForOne;
      };
    }
  }

  function readOf(segments: string[]): () => unknown {
    const path = segments.join('.');
    const known = reads.get(path);
    if (known) return known;
    let found: unknown;
    let foundIn = 0;
    const read = () => {
      if (foundIn !== round) {
        found = shown(valueAt(current, segments));
        foundIn = round;
      }
      return found;
    };
    reads.set(path, read);
    return read;
  }
}

const SOMETHING = Symbol('an object or a list');
/** No condition asks more of an object or a list than that it is there; it is not held on to. */
const shown = (value: unknown) => (typeof value === 'object' && value !== null ? SOMETHING : value);

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
    case '$nin': {
      const refused = new Set(operand as unknown[]);
      return (found) => !refused.has(found);
    }
    case '$gt':
      return (found) => isGreater(found, operand);
    case '$gte':
      return (found) => found === operand || isGreater(found, operand);
    case '$lt':
      return (found) => isGreater(operand, found);
    case '$lte':
      return (found) => found === operand || isGreater(operand, found);
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
