import { z } from 'zod';
import { VERIFICATION_MODES } from '../../domain/verification';

export const patchSettingsBody = z
  .strictObject({ endpoint_verification: z.enum(VERIFICATION_MODES) })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'must change something');
