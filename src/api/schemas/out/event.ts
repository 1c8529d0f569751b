import { z } from 'zod';
import { count, listOf, publicId, time } from './common';

const event = { id: publicId('event'), type: z.string(), timestamp: time };

const published = { ...event, deliveries: count };

export const publishedOut = z.strictObject(published).meta({ id: 'PublishedEvent' });
export const duplicateOut = z.strictObject({ ...published, duplicate: z.literal(true) }).meta({ id: 'DuplicateEvent' });

export const eventOut = z
  .strictObject({ ...event, payload: z.string().meta({ description: 'The text that receivers get.' }) })
  .meta({ id: 'Event' });

export const eventListOut = listOf(z.strictObject(event).meta({ id: 'EventInList' }), 'event');

const batchResult = z.union([
  z.strictObject({ status: z.literal(202), id: publicId('event'), deliveries: count }),
  z.strictObject({ status: z.literal(200), id: publicId('event'), deliveries: count, duplicate: z.literal(true) }),
  z.strictObject({
    status: z.literal(422),
    error: z.strictObject({
      code: z.literal('validation_failed'),
      errors: z.array(z.strictObject({ field: z.string(), rule: z.string() })),
      errors_omitted: z.int().min(1).optional(),
    }),
  }),
]);

export const publishedBatchOut = z
  .strictObject({ data: z.array(batchResult).meta({ description: 'One result for each event, in their order' }) })
  .meta({ id: 'PublishedBatch' });
