import { z } from 'zod';
import { OPERATIONAL_PREFIX } from '../../domain/event-types';
import { PAYLOAD_MODES } from '../../domain/minimal-payload';
import { PRIORITY_NAMES } from '../../domain/priorities';
import { named } from '../../in-words';
import { eventType, eventVersion, pageOf, storableText, timeWindow } from './common';

/** Checked to be an object; the bytes that are stored and sent are the producer's own. */
export const eventData = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be an object',
  )
  .meta({ type: 'object', additionalProperties: true, examples: [{ order_id: 'ord_1001' }] });

export const publishBody = z.strictObject({
  type: eventType.refine((type) => !type.startsWith(OPERATIONAL_PREFIX), `must not begin with ${OPERATIONAL_PREFIX}`),
  data: eventData,
  version: eventVersion.default('1.0'),
  /** The producer's own id for this event: publishing it again sends nothing. */
  id: storableText(1, 256).optional(),
  /** `minimal`: for every webhook, whatever its own mode. */
  payload: z.enum(PAYLOAD_MODES).default('full'),
  priority: z.enum(PRIORITY_NAMES).default('normal'),
});

const MAX_BATCH = 1_000;

/** Events are looked at one by one, so that a bad one fails alone. */
export const publishBatchBody = z.strictObject({
  events: z
    .array(
      named(
        z.unknown().meta({
          description: 'as the body of `POST /events`',
          examples: [{ type: 'order.created', data: { order_id: 'ord_1001' } }],
        }),
        'an event',
        'events',
      ),
    )
    .min(1)
    .max(MAX_BATCH),
});

export const listEventsQuery = z.strictObject({ ...pageOf('event'), ...timeWindow, type: eventType.optional() });
