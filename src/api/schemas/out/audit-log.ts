import { z } from 'zod';
import { actorOut, listOf, publicId, time } from './common';

export const auditLineOut = z
  .strictObject({
    id: publicId('audit'),
    actor: actorOut,
    action: z.string().regex(/^[a-z_]+(\.[a-z_]+)+$/),
    target: z.string(),
    /** What was changed; each action has its own. */
    details: z.record(z.string(), z.unknown()),
    created_at: time,
  })
  .meta({ id: 'AuditLine' });

export const auditListOut = listOf(auditLineOut, 'audit');
