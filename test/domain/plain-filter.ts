import type { Condition, Filter, Filterable } from '../../src/domain/filter';

/** What a filter says of an event, read as src/domain/filter.ts describes it, with nothing made ready. */
export function matchesPlainly(filter: Filter, event: Filterable): boolean {
  return filterHolds(filter, event);
}

function filterHolds(filter: Filter, event: unknown): boolean {
  return Object.entries(filter).every(([key, value]) => {
    if (key === '$and') return (value as Filter[]).every((one) => filterHolds(one, event));
    if (key === '$or') return (value as Filter[]).some((one) => filterHolds(one, event));
    if (key === '$not') return !filterHolds(value as Filter, event);
    const found = valueAt(event, key);
    return isObject(value) ? holds(value as Condition, found) : found === value;
  });
}

function holds(condition: Condition, found: unknown): boolean {
  return Object.entries(condition).every(([operator, operand]) => {
    switch (operator as keyof Condition) {
      case '$eq':
        return found === operand;
      case '$ne':
        return found !== operand;
      case '$in':
        return (operand as unknown[]).includes(found);
      case '$nin':
        return !(operand as unknown[]).includes(found);
      case '$gte':
        return isGreater(found, operand) || found === operand;
      case '$lte':
        return isGreater(operand, found) || found === operand;
      case '$elemMatch': {
        const asked = operand as Condition | Filter;
        const ofItself = Object.keys(asked).every((key) => key.startsWith('$') && !/^.(and|or|not)$/.test(key));
        const holdsFor = (one: unknown) =>
          ofItself ? holds(asked as Condition, one) : filterHolds(asked as Filter, one);
        return Array.isArray(found) && found.slice(0, 1_000).some(holdsFor);
      }
      case '$gt':
        return isGreater(found, operand);
      case '$lt':
        return isGreater(operand, found);
      case '$exists':
        return (found !== undefined) === operand;
      default:
        throw new Error(operator);
    }
  });
}

function isGreater(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') return a > b;
  return typeof a === 'string' && typeof b === 'string' && a > b;
}

function valueAt(event: unknown, path: string): unknown {
  let at: unknown = event;
  for (const segment of path.split('.')) {
    const there = Array.isArray(at) ? /^\d+$/.test(segment) : isObject(at);
    if (!there || !Object.hasOwn(at as object, segment)) return undefined;
    at = (at as Record<string, unknown>)[segment];
  }
  return at;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
