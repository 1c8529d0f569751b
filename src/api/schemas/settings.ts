import { z } from 'zod';
import { ON_UNKNOWN } from '../../domain/event-types';
import { VERIFICATION_MODES } from '../../domain/verification';

export const patchSettingsBody = z
  .strictObject({
    unknown_event_types: z.enum(ON_UNKNOWN),
    unknown_event_versions: z.enum(ON_UNKNOWN),
    endpoint_verification: z.enum(VERIFICATION_MODES),
  })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'must change something')
  .meta({ minProperties: 1 });
