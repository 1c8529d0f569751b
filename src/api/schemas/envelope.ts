import { z } from 'zod';
import {
  CLOUDEVENTS_MODES,
  type Envelope,
  envelopeProblem,
  MAX_TYPE_PREFIX,
  MAX_URI,
  TYPE_PREFIX,
  URI_REFERENCE,
} from '../../domain/envelope-setting';

/** What stands around the data; stored as received. */
export const envelope = z
  .custom<Envelope>()
  .superRefine((given, context) => {
    const problem = envelopeProblem(given);
    if (problem) context.addIssue({ code: 'custom', path: problem.path, message: problem.rule });
  })
  .meta({
    anyOf: [
      { enum: ['standard', 'data'] },
      {
        type: 'object',
        properties: {
          cloudevents: { enum: [...CLOUDEVENTS_MODES] },
          source: { type: 'string', minLength: 1, maxLength: MAX_URI, pattern: URI_REFERENCE.source },
          type_prefix: { type: 'string', minLength: 1, maxLength: MAX_TYPE_PREFIX, pattern: TYPE_PREFIX.source },
        },
        required: ['cloudevents'],
        additionalProperties: false,
      },
      {
        type: 'object',
        properties: { shape: { type: ['object', 'array'] } },
        required: ['shape'],
        additionalProperties: false,
      },
    ],
    examples: ['standard', { shape: { event: '$type', createdAt: '$timestamp', data: '$data' } }],
  });
