import type { TypeAndVersion } from '../../db/publish/publish-rules';
import { minimalData, type PayloadMode } from '../../domain/minimal-payload';
import { type Steps, TooCostlyError, WorkBudget } from '../../domain/work-budget';
import { ApiError } from '../errors';
import type { TenantRules, TypeRules } from './rules-cache';

/**
 * Units of work (see ../../domain/work-budget.ts) that one request may cost: all its events with their filters, schemas and
 * types. Half a second of CPU at worst. A thousand events, each evaluated by 200 filters of ten conditions, are within it.
 */
export const MAX_PUBLISH_UNITS = 5_000_000;
/** Units for each event: parsing, identifying and storing it. */
const EVENT_UNITS = 100;
/** Characters for one unit: the text is scanned a few times, at most once for each level of its key fields. */
const CHARACTERS_PER_UNIT = 32;
/**
 * Units for each part of each schema that a request needs. They count also if the schema is cached: the answer to a request
 * must not depend on earlier requests.
 */
const SCHEMA_PART_UNITS = 15;

/** The parts of a publish that are checked. */
export type EventToPrepare = {
  type: string;
  version: string;
  data: Record<string, unknown>;
  payload?: PayloadMode | undefined;
};

export type Prepared = {
  /** Webhooks whose filter the event does not pass. */
  excluded: string[];
  /** The key fields of its type, at this moment. */
  keyFields: string[];
  /** The text of the data as it is to be stored and sent. */
  data: string;
};

/** Prepares the events of one request, within one budget. */
export type Preparing = {
  budget: WorkBudget;
  /** Prepares one event. See {@link startPreparing}. */
  prepare(event: EventToPrepare, dataText: string): Steps<Prepared>;
};

/**
 * Starts to prepare the events of a request. For each event, `prepare` checks the data against the schema of its type,
 * evaluates the filters, and reduces the data if all webhooks are to get the minimal payload. It throws validation_failed,
 * naming every path and rule, or TooCostlyError if the request is over its limit.
 *
 * Costs that are known before the first event are counted here, so that a request far over the limit costs little.
 *
 * @param events all of the request
 * @param types the rules of their types, by {@link typeKey}
 */
export function startPreparing(
  rules: TenantRules,
  events: readonly TypeAndVersion[],
  types: ReadonlyMap<string, TypeRules | undefined>,
  budget: WorkBudget,
): Preparing {
  for (const one of types.values()) budget.spend(1 + (one?.validator?.parts ?? 0) * SCHEMA_PART_UNITS);
  for (const event of events) {
    budget.spend(rules.filters.unitsOf(event.type) + (types.get(typeKey(event))?.keyFields.length ?? 0));
  }
  return { budget, prepare };

  function* prepare(event: EventToPrepare, dataText: string): Steps<Prepared> {
    const ofType = types.get(typeKey(event));
    requireKnown(rules, ofType);
    if (ofType?.validator) {
      const problems = yield* ofType.validator.check(event.data, dataText, budget);
      if (problems.length > 0) {
        throw new ApiError('validation_failed', 'The data does not match the schema of its event type.', problems);
      }
    }
    const keyFields = ofType?.keyFields ?? [];
    return {
      excluded: yield* rules.filters.excludedBy(event, budget),
      keyFields,
      data: event.payload === 'minimal' ? minimalData(dataText, keyFields) : dataText,
    };
  }
}

/** Spends what parsing an event costs, by the length of its text. */
export function spendForReading(budget: WorkBudget, text: string): void {
  budget.spend(EVENT_UNITS + text.length / CHARACTERS_PER_UNIT);
}

export const typeKey = ({ type, version }: TypeAndVersion) => `${type} ${version}`;

/** Runs a publish within the budget of a request. */
export async function withinBudget<T>(field: string, publish: (budget: WorkBudget) => Promise<T>): Promise<T> {
  try {
    return await publish(new WorkBudget(MAX_PUBLISH_UNITS));
  } catch (error) {
    if (!(error instanceof TooCostlyError)) throw error;
    throw new ApiError('publish_too_costly', 'The request costs too much; nothing of it was published.', [
      { field, rule: `must cost at most ${error.limit} units of work with the filters, schemas and types it meets` },
    ]);
  }
}

function requireKnown(rules: TenantRules, ofType: TypeRules | undefined): void {
  if (!ofType && rules.unknownEventTypes === 'refuse') throw unknown('type', 'must be a registered event type');
  if (ofType && !ofType.versionKnown && rules.unknownEventVersions === 'refuse') {
    throw unknown('version', 'must be a registered version of the event type');
  }
}

const unknown = (field: string, rule: string) =>
  new ApiError('validation_failed', 'The type of the event, or its version, is not registered.', [{ field, rule }]);
