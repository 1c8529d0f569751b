import { z } from 'zod';
import { count, listOf, publicId, receiverStatus, time } from './common';
import { failedBecause, sendErrorOut } from './delivery';

export const deadLetterOut = z
  .strictObject({
    id: publicId('delivery'),
    event_id: publicId('event'),
    event_type: z.string(),
    webhook_id: publicId('webhook'),
    failed_because: failedBecause,
    last_status_code: receiverStatus.nullable(),
    last_error: sendErrorOut.nullable(),
    attempt_count: count,
    created_at: time,
    failed_at: time,
  })
  .meta({ id: 'DeadLetter' });

export const deadLetterListOut = listOf(deadLetterOut, 'delivery');

export const discardedOut = z.strictObject({ discarded: count, more: z.boolean() }).meta({ id: 'Discarded' });
