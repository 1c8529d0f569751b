import { z } from 'zod';
import { time } from './common';

const eventType = {
  name: z.string(),
  description: z.string().nullable(),
  deprecated: z.boolean(),
  key_fields: z.array(z.string()),
  created_at: time,
  updated_at: time,
};

const jsonObject = z.record(z.string(), z.unknown());

const version = z.strictObject({
  version: z.string(),
  schema: jsonObject.nullable(),
  example: jsonObject.nullable(),
  created_at: time,
});

export const eventTypeOut = z.strictObject({ ...eventType, versions: z.array(version) }).meta({ id: 'EventType' });

/** Names sort types, so the last name of a page is its cursor. */
export const eventTypeListOut = z.strictObject({
  data: z.array(z.strictObject(eventType).meta({ id: 'EventTypeInList' })),
  next_cursor: z.string().nullable(),
});

export const seededOut = z
  .strictObject({ created: z.array(z.string()), existing: z.array(z.string()) })
  .meta({ id: 'SeededEventTypes' });
