import { z } from 'zod';
import { listOf, publicId, time } from './common';

export const auditListOut = listOf(
  z
    .strictObject({
      id: publicId('audit'),
      actor: z.string().meta({ description: 'The id of an API key, or a word such as cli' }),
      action: z.string(),
      target: z.string(),
      details: z.record(z.string(), z.unknown()),
      created_at: time,
    })
    .meta({ id: 'AuditLine' }),
  'audit',
);
