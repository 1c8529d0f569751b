import { z } from 'zod';
import { ON_UNKNOWN } from '../../../domain/event-types';
import { VERIFICATION_MODES } from '../../../domain/verification';

export const settingsOut = z
  .strictObject({
    unknown_event_types: z.enum(ON_UNKNOWN),
    unknown_event_versions: z.enum(ON_UNKNOWN),
    endpoint_verification: z.enum(VERIFICATION_MODES),
  })
  .meta({ id: 'Settings' });

export const senderAddressesOut = z.strictObject({ addresses: z.array(z.string()) }).meta({ id: 'SenderAddresses' });
