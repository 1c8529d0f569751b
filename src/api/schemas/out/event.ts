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
