import { z } from 'zod';
import { count, fieldProblemOut, listOf, publicId, time } from './common';

const event = { id: publicId('event'), type: z.string(), timestamp: time };

const published = { ...event, deliveries: count };

export const publishedOut = z.strictObject(published).meta({ id: 'PublishedEvent' });
export const duplicateOut = z.strictObject({ ...published, duplicate: z.literal(true) }).meta({ id: 'DuplicateEvent' });

const inBatch = { id: publicId('event'), deliveries: count };

/** Each event's own answer, in the order of the request. */
export const publishedBatchOut = z
  .strictObject({
    data: z.array(
      z.union([
        z.strictObject({ status: z.literal(202), ...inBatch }),
        z.strictObject({ status: z.literal(200), ...inBatch, duplicate: z.literal(true) }),
        z.strictObject({
          status: z.literal(422),
          error: z.strictObject({ code: z.literal('validation_failed'), errors: z.array(fieldProblemOut) }),
        }),
      ]),
    ),
  })
  .meta({ id: 'PublishedBatch' });

export const eventOut = z
  .strictObject({ ...event, payload: z.string().meta({ description: 'The text that receivers get.' }) })
  .meta({ id: 'Event' });

export const eventListOut = listOf(z.strictObject(event).meta({ id: 'EventInList' }), 'event');
