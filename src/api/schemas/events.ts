import { z } from 'zod';
import { OPERATIONAL_PREFIX } from '../../domain/event-types';
import { LANE_NAMES } from '../../domain/lanes';
import { eventType, pageOf, storableText, timeWindow } from './common';

export const publishBody = z.strictObject({
  type: eventType.refine((type) => !type.startsWith(OPERATIONAL_PREFIX), `must not begin with ${OPERATIONAL_PREFIX}`),
  /** Checked to be an object; the bytes that are stored and sent are the producer's own. */
  data: z
    .custom<Record<string, unknown>>(
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
      'must be an object',
    )
    .meta({ type: 'object', additionalProperties: true, examples: [{ order_id: 'ord_1001' }] }),
  version: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'must be 1-32 letters, digits, dots, dashes or underscores')
    .default('1.0'),
  /** The producer's own id for this event: publishing it again sends nothing. */
  id: storableText(1, 256).optional(),
  priority: z.enum(LANE_NAMES).default('normal'),
});

export const listEventsQuery = z.strictObject({ ...pageOf('event'), ...timeWindow, type: eventType.optional() });
