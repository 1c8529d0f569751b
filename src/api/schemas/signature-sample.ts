import { z } from 'zod';
import { eventType, storableText, timestamp } from './common';
import { signature } from './signature';
import { signatureStyles } from './webhook-policies';
import { secret } from './webhooks';

const MAX_BODY_LENGTH = 65_536;
const MAX_ID_LENGTH = 64;

const sample = {
  signature: signature.nullable(),
  signature_styles: signatureStyles,
  secret,
  /** Any text: of another system, to compare with its signatures. */
  id: z
    .string()
    .max(MAX_ID_LENGTH)
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces'),
  timestamp,
  event_type: eventType,
  attempt: z.number().int().min(1).max(1_000),
  body: storableText(0, MAX_BODY_LENGTH),
};

/** What differs from a sample; everything has its default. */
export const sampleBody = z.strictObject(sample).partial().prefault({});

export const sampleOut = z
  .strictObject({
    headers: z.record(z.string(), z.string()),
    body: z.string(),
    /** What the declared signature covers; null without one. */
    signed: z.string().nullable(),
    secret: z.string().optional(),
  })
  .meta({ id: 'SignatureSample' });
