import { z } from 'zod';
import { MAX_ERRORS, PROBLEM_CODES, type ProblemCode } from '../../errors';

/** Problem details (RFC 9457). */
export const problemOut = z
  .strictObject({
    type: z.string().regex(/^urn:posthorn:problem:[a-z_]+$/),
    title: z.string(),
    status: z.int().min(400).max(599),
    code: z.enum(PROBLEM_CODES as [ProblemCode, ...ProblemCode[]]),
    detail: z.string(),
    errors: z
      .array(z.strictObject({ field: z.string(), rule: z.string() }))
      .max(MAX_ERRORS)
      .optional(),
    /** How many more errors there are; absent if all are named. */
    errors_omitted: z.int().min(1).optional(),
    request_id: z.string(),
  })
  .meta({ id: 'Problem' });
