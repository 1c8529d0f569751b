import type { TypeAndVersion } from '../../db/publish/publish-rules';
import { minimalData, type PayloadMode } from '../../domain/minimal-payload';
import { type Steps, TooCostlyError, WorkBudget } from '../../domain/work-budget';
import { ApiError } from '../errors';
import type { TenantRules, TypeRules } from './rules-cache';

/**
 * Units of work (see ../domain/work-budget.ts) that one request may cost: all its events with their filters, schemas and
 * types. Half a second of CPU at worst; a thousand events that each meet 200 filters of ten conditions are within it.
 */
export const MAX_PUBLISH_UNITS = 5_000_000;
/** Of each event: reading, naming and storing it. */
const EVENT_UNITS = 100;
/** Its text is looked through a few times, at most once for each level of its key fields: so many characters for a unit. */
const CHARACTERS_PER_UNIT = 32;
/**
 * Of each part of each schema that a request needs, once, whether it is at hand or has to be made ready: what a request
 * is answered must not depend on who came before.
 */
const SCHEMA_PART_UNITS = 15;

/** The parts of a publish that are looked at. */
export type EventToPrepare = {
  type: string;
  version: string;
  data: Record<string, unknown>;
  payload?: PayloadMode | undefined;
};

export type Prepared = {
  /** Webhooks whose filter the event does not pass. */
  excluded: string[];
  /** Of its type, at this moment. */
  keyFields: string[];
  /** The text of the data as it is to be stored and sent. */
  data: string;
};

/** What has to be found out before the events of one request are published; within one budget. */
export type Preparing = {
  budget: WorkBudget;
  /** Looks at one event. See {@link startPreparing}. */
  prepare(event: EventToPrepare, dataText: string): Steps<Prepared>;
};

/**
 * Makes ready to find out of each event of a request whether its data is what its type's schema asks for, which filters
 * it does not pass, and, where all are to get the minimal payload, what is left of the data. Each event throws
 * validation_failed, naming every path and rule, or TooCostlyError where the request has come to its limit.
 *
 * What can be known before an event is looked at is paid for here, so that a request far over the limit costs little.
 *
 * @param events all of the request
 * @param types of theirs, by {@link typeKey}
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
      const problems = yield* ofType.validator.check(event.data, budget);
      if (problems.length > 0) {
        throw new ApiError('validation_failed', 'The data does not match the schema of its event type.', problems);
      }
    }
    const keyFields = ofType?.keyFields ?? [];
    return {
      excluded: rules.filters.excludedBy(event),
      keyFields,
      data: event.payload === 'minimal' ? minimalData(dataText, keyFields) : dataText,
    };
  }
}

/** What reading an event costs, by the length of its text. */
export function spendForReading(budget: WorkBudget, text: string): void {
  budget.spend(EVENT_UNITS + text.length / CHARACTERS_PER_UNIT);
}

export const typeKey = ({ type, version }: TypeAndVersion) => `${type} ${version}`;

/** Runs what spends of a request's budget. */
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
  new ApiError('validation_failed', 'The event is of a kind that nobody has described.', [{ field, rule }]);
