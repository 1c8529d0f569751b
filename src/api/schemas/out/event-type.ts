import { z } from 'zod';
import { EVENT_TYPE } from '../../../domain/event-types';
import { time } from './common';

const name = z.string().regex(EVENT_TYPE);
const jsonObject = z.record(z.string(), z.unknown());

const eventType = {
  name,
  description: z.string().nullable(),
  deprecated: z.boolean(),
  key_fields: z.array(z.string()),
  created_at: time,
  updated_at: time,
};

const version = z
  .strictObject({
    version: z.string(),
    schema: jsonObject.nullable(),
    example: jsonObject.nullable(),
    created_at: time,
  })
  .meta({ id: 'EventTypeVersion' });

export const eventTypeOut = z.strictObject({ ...eventType, versions: z.array(version) }).meta({ id: 'EventType' });

/** Names sort types, so the last name of a page is its cursor. */
export const eventTypeListOut = z.strictObject({
  data: z.array(z.strictObject(eventType).meta({ id: 'EventTypeInList' })),
  next_cursor: name.nullable(),
});

export const seededOut = z
  .strictObject({ created: z.array(name), existing: z.array(name) })
  .meta({ id: 'SeededEventTypes' });
