import { z } from 'zod';
import { type JsonObject, OPERATIONAL_PREFIX } from '../../domain/event-types';
import { isDeeperThan } from '../../domain/json-depth';
import { keyFieldProblem } from '../../domain/minimal-payload';
import { shownMember } from '../read-back';
import { distinctList, eventType, eventVersion, pageLimit, storableText } from './common';

const MAX_KEY_FIELDS = 20;
/** The documentation page indents each level further. */
export const MAX_EXAMPLE_DEPTH = 32;
export const MAX_EXAMPLE_CHARACTERS = 16 * 1024;

/** Types that producers may publish. */
export const ownEventType = eventType.refine(
  (type) => !type.startsWith(OPERATIONAL_PREFIX),
  `must not begin with ${OPERATIONAL_PREFIX}`,
);

const keyField = storableText(1, 256).superRefine((text, context) => {
  const problem = keyFieldProblem(text);
  if (problem) context.addIssue(problem);
});

const jsonObject = z
  .custom<JsonObject>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be an object',
  )
  .meta({ type: 'object', additionalProperties: true });

const settings = {
  description: storableText(0, 2_000).nullable(),
  deprecated: z.boolean(),
  key_fields: distinctList(keyField, 0, MAX_KEY_FIELDS),
};

export const createEventTypeBody = z.strictObject({
  name: ownEventType,
  description: settings.description.default(null),
  deprecated: settings.deprecated.default(false),
  key_fields: settings.key_fields.default([]),
});

/** What an event type shows that no change sets. */
export const SHOWN_OF_EVENT_TYPE = {
  id: 'name',
  fixed: { versions: 'never change: POST …/versions adds one', created_at: 'cannot be changed' },
  reports: ['updated_at'],
} as const;

export const patchEventTypeBody = z
  .strictObject(settings)
  .partial()
  .extend({ name: shownMember, versions: shownMember, created_at: shownMember, updated_at: shownMember })
  .refine((change) => Object.keys(change).length > 0, 'must change something')
  .meta({ minProperties: 1 });

/** Names sort types, so the last name of a page is its cursor. */
export const listEventTypesQuery = z.strictObject({ limit: pageLimit, cursor: eventType.optional() });

export const addVersionBody = z.strictObject({
  version: eventVersion,
  /** Validated by ../publish/data-validator.ts. */
  schema: jsonObject.nullable().default(null),
  example: jsonObject
    .refine((value) => !isDeeperThan(value, MAX_EXAMPLE_DEPTH), 'must not be too deep')
    .nullable()
    .default(null),
});
