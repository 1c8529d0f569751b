import { matchingPatterns } from '../domain/event-types';
import { matchesFilter } from '../domain/filter';
import { minimalData, type PayloadMode } from '../domain/minimal-payload';
import { ApiError } from './errors';
import type { TenantRules, TypeRules } from './publish-rules';
import type { Services } from './services';

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

/**
 * What has to be found out before an event is published: whether its data is what its type's schema asks for, which
 * filters it does not pass, and, where all are to get the minimal payload, what is left of the data.
 *
 * @param dataText the data as its producer wrote it
 * @throws ApiError validation_failed, naming every path and rule
 */
export async function prepareEvent(
  services: Pick<Services, 'publishRules'>,
  tenantId: string,
  body: EventToPrepare,
  dataText: string,
): Promise<Prepared> {
  const rules = await services.publishRules.of(tenantId);
  const ofType = await rules.ofType(body.type, body.version);
  requireKnown(rules, ofType);
  const problems = ofType?.validate?.(body.data) ?? [];
  if (problems.length > 0) {
    throw new ApiError('validation_failed', 'The data does not match the schema of its event type.', problems);
  }
  const keyFields = ofType?.keyFields ?? [];
  return {
    excluded: excludedBy(rules, body),
    keyFields,
    data: body.payload === 'minimal' ? minimalData(dataText, keyFields) : dataText,
  };
}

function requireKnown(rules: TenantRules, ofType: TypeRules | undefined): void {
  if (!ofType && rules.unknownEventTypes === 'refuse') throw unknown('type', 'must be a registered event type');
  if (ofType && !ofType.versionKnown && rules.unknownEventVersions === 'refuse') {
    throw unknown('version', 'must be a registered version of the event type');
  }
}

const unknown = (field: string, rule: string) =>
  new ApiError('validation_failed', 'The event is of a kind that nobody has described.', [{ field, rule }]);

/** The webhooks whose filter this event does not pass. */
export function excludedBy(rules: Pick<TenantRules, 'filtered'>, event: EventToPrepare): string[] {
  if (rules.filtered.length === 0) return [];
  const matching = new Set(matchingPatterns(event.type));
  return rules.filtered
    .filter(({ patterns, filter }) => patterns.some((one) => matching.has(one)) && !matchesFilter(filter, event))
    .map(({ webhookId }) => webhookId);
}
